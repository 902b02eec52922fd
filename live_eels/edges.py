"""Where each element's ionisation edges begin, and the windows to take around them.

Lives here: the table of edge onsets and what a name such as ``"Mn L"`` means on an energy
axis. Knows no spectra.

Energies in eV are the atomic levels of Bearden & Burr, Rev. Mod. Phys. 39 (1967) 125 and
Williams (X-ray Data Booklet), as compiled by Elam, Ravel & Sieber, Radiat. Phys. Chem. 63
(2002) 121 and published with XrayDB (MIT). For the K edges of Be to F, whose atomic level is
that of a gas or of the core alone, the onset seen in solids is given (Egerton, *Electron
Energy-Loss Spectroscopy in the Electron Microscope*, 3rd ed., appendix D). Chemistry moves an
onset by some eV: this table says where to look, not where an edge must be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from live_eels.spectra import EnergyAxis

MAX_ONSET_EV = 3000.0
"""Edges above this are not in reach of an electron spectrometer's single exposure."""

_LEAST_FIT_EV = 4.0
_LEAST_FIT_CHANNELS = 8
_LEAST_SIGNAL_EV = 15.0
_MAIN_SUBSHELLS = {"K": ("K",), "L": ("L3", "L1"), "N": ("N5", "N3", "N1"), "O": ("O5", "O3", "O1")}
_NAME = re.compile(r"([A-Z][a-z]?)[ _-]?([KLMNO])([0-9](?:[,/]?[0-9])?)?")

# One element after the other: symbol, atomic number, then subshell:energy in eV.
_TABLE = """
H 1 K:13.6
He 2 K:24.6
Li 3 K:54.7
Be 4 K:111
B 5 K:188 L1:12.6
C 6 K:284 L1:18
N 7 K:401 L1:37.3 L2:17.5 L3:17.5
O 8 K:532 L1:41.6 L2:18.2 L3:18.2
F 9 K:685 L1:45 L2:19.9 L3:19.9
Ne 10 K:870.2 L1:48.5 L2:21.7 L3:21.6
Na 11 K:1070.8 L1:63.5 L2:30.4 L3:30.5
Mg 12 K:1303 L1:88.6 L2:49.6 L3:49.21
Al 13 K:1559 L1:117.8 L2:72.9 L3:72.5
Si 14 K:1839 L1:149.7 L2:99.8 L3:99.2
P 15 K:2145.5 L1:189 L2:136 L3:135 M1:12
S 16 K:2472 L1:230.9 L2:163.6 L3:162.5 M1:14
Cl 17 K:2822 L1:270 L2:202 L3:200 M1:18 M2:10 M3:10
Ar 18 L1:326.3 L2:250.6 L3:248.4 M1:29.3 M2:15.9 M3:15.7
K 19 L1:378.6 L2:297.3 L3:294.6 M1:34.8 M2:18.3 M3:18.3
Ca 20 L1:438.4 L2:349.7 L3:346.2 M1:44.3 M2:25.4 M3:25.4
Sc 21 L1:498 L2:403.6 L3:398.7 M1:51.1 M2:28.3 M3:28.3
Ti 22 L1:560.9 L2:460.2 L3:453.8 M1:58.7 M2:32.6 M3:32.6
V 23 L1:626.7 L2:519.8 L3:512.1 M1:66.3 M2:37.2 M3:37.2
Cr 24 L1:696 L2:583.8 L3:574.1 M1:74.1 M2:42.2 M3:42.2
Mn 25 L1:769.1 L2:649.9 L3:638.7 M1:82.3 M2:47.2 M3:47.2
Fe 26 L1:844.6 L2:719.9 L3:706.8 M1:91.3 M2:52.7 M3:52.7
Co 27 L1:925.1 L2:793.2 L3:778.1 M1:101 M2:58.9 M3:59.9
Ni 28 L1:1008.6 L2:870 L3:852.7 M1:110.8 M2:68 M3:66.2
Cu 29 L1:1096.7 L2:952.3 L3:932.7 M1:122.5 M2:77.3 M3:75.1
Zn 30 L1:1196.2 L2:1044.9 L3:1021.8 M1:139.8 M2:91.4 M3:88.6 M4:10.2 M5:10.1
Ga 31 L1:1299 L2:1143.2 L3:1116.4 M1:159.51 M2:103.5 M3:100 M4:18.7 M5:18.7
Ge 32 L1:1414.6 L2:1248.1 L3:1217 M1:180.1 M2:124.9 M3:120.8 M4:29.8 M5:29.2
As 33 L1:1527 L2:1359.1 L3:1323.6 M1:204.7 M2:146.2 M3:141.2 M4:41.7 M5:41.7
Se 34 L1:1652 L2:1474.3 L3:1433.9 M1:229.6 M2:166.5 M3:160.7 M4:55.5 M5:54.6 N1:12
Br 35 L1:1782 L2:1596 L3:1550 M1:257 M2:189 M3:182 M4:70 M5:69 N1:27
Kr 36 L1:1921 L2:1730.9 L3:1678.4 M1:292.8 M2:222.2 M3:214.4 M4:95 M5:93.8 N1:27.5 N2:14.1 N3:14.1
Rb 37 L1:2065 L2:1864 L3:1804 M1:326.7 M2:248.7 M3:239.1 M4:113 M5:112 N1:30.5 N2:16.3 N3:15.3
Sr 38 L1:2216 L2:2007 L3:1940 M1:358.7 M2:280.3 M3:270 M4:136 M5:134.2 N1:38.9 N2:21.6 N3:20.1
Y 39 L1:2373 L2:2156 L3:2080 M1:392 M2:310.6 M3:298.8 M4:157.7 M5:155.8 N1:43.8 N2:24.4 N3:23.1
Zr 40 L1:2532 L2:2307 L3:2223 M1:430.3 M2:343.5 M3:329.8 M4:181.1 M5:178.8 N1:50.6 N2:28.5 N3:27.1
Nb 41 L1:2698 L2:2465 L3:2371 M1:466.6 M2:376.1 M3:360.6 M4:205 M5:202.3 N1:56.4 N2:32.6 N3:30.8
Mo 42 L1:2866 L2:2625 L3:2520 M1:506.3 M2:411.6 M3:394 M4:231.1 M5:227.9 N1:63.2 N2:37.6 N3:35.5
Tc 43 L1:3043 L2:2793 L3:2677 M1:544 M2:447.6 M3:417.7 M4:257.6 M5:253.9 N1:69.5 N2:42.3 N3:39.9
Ru 44 L2:2967 L3:2838 M1:586.1 M2:483.3 M3:461.5 M4:284.2 M5:280 N1:75 N2:46.3 N3:43.2
Rh 45 L2:3146 L3:3004 M1:628.1 M2:521.3 M3:496.5 M4:311.9 M5:307.2 N1:81.4 N2:50.5 N3:47.3
Pd 46 L3:3173 M1:671.6 M2:559.9 M3:532.3 M4:340.5 M5:335.2 N1:87.1 N2:55.7 N3:50.9
Ag 47 M1:719 M2:603.8 M3:573 M4:374 M5:368.3 N1:97 N2:63.7 N3:58.3
Cd 48 M1:772 M2:652.6 M3:618.4 M4:411.9 M5:405.2 N1:109.8 N2:63.9 N3:63.9 N4:11.7 N5:10.7
In 49 M1:827.2 M2:703.2 M3:665.3 M4:451.4 M5:443.9 N1:122.9 N2:73.5 N3:73.5 N4:17.7 N5:16.9
Sn 50 M1:884.7 M2:756.5 M3:714.6 M4:493.2 M5:484.9 N1:137.1 N2:83.6 N3:83.6 N4:24.9 N5:23.9
Sb 51 M1:940 M2:812.7 M3:766.4 M4:537.5 M5:528.2 N1:153.2 N2:95.6 N3:95.6 N4:33.3 N5:32.1
Te 52 M1:1006 M2:870.8 M3:820.8 M4:583.4 M5:573 N1:169.4 N2:103.3 N3:103.3 N4:41.9 N5:40.4 O1:12
I 53 M1:1072 M2:931 M3:875 M4:630.8 M5:619.3 N1:186 N2:123 N3:123 N4:50.6 N5:48.9 O1:14
Xe 54 M1:1148.7 M2:1002.1 M3:940.6 M4:689 M5:676.4 N1:213.2 N2:146.7 N3:145.5 N4:69.5 N5:67.5
    O1:23.3 O2:13.4 O3:12.1
Cs 55 M1:1211 M2:1071 M3:1003 M4:740.5 M5:726.6 N1:232.3 N2:172.4 N3:161.3 N4:79.8 N5:77.5 O1:22.7
    O2:14.2 O3:12.1
Ba 56 M1:1293 M2:1137 M3:1063 M4:795.7 M5:780.5 N1:253.5 N2:192 N3:178.6 N4:92.6 N5:89.9 O1:30.3
    O2:17 O3:14.8
La 57 M1:1362 M2:1209 M3:1128 M4:853 M5:836 N1:274.7 N2:205.8 N3:196 N4:105.3 N5:102.5 O1:34.3
    O2:19.3 O3:16.8
Ce 58 M1:1436 M2:1274 M3:1187 M4:902.4 M5:883.8 N1:291 N2:223.2 N3:206.5 N4:109 N5:109 O1:37.8
    O2:19.8 O3:17
Pr 59 M1:1511 M2:1337 M3:1242 M4:948.3 M5:928.8 N1:304.5 N2:236.3 N3:217.6 N4:115.1 N5:115.1
    O1:37.4 O2:22.3 O3:22.3
Nd 60 M1:1575 M2:1403 M3:1297 M4:1003.3 M5:980.4 N1:319.2 N2:243.3 N3:224.6 N4:120.5 N5:120.5
    O1:37.5 O2:21.1 O3:21.1
Pm 61 M1:1650 M2:1471.4 M3:1357 M4:1052 M5:1027 N1:331 N2:242 N3:242 N4:120 N5:120 O1:38 O2:22
    O3:22
Sm 62 M1:1723 M2:1541 M3:1419.8 M4:1110.9 M5:1083.4 N1:347.2 N2:265.6 N3:247.4 N4:129 N5:129
    O1:37.4 O2:21.3 O3:21.3
Eu 63 M1:1800 M2:1614 M3:1481 M4:1158.6 M5:1127.5 N1:360 N2:284 N3:257 N4:133 N5:127.7 O1:32 O2:22
    O3:22
Gd 64 M1:1881 M2:1688 M3:1544 M4:1221.9 M5:1189.6 N1:378.6 N2:286 N3:271 N4:142.6 N5:142.6 O1:36
    O2:20 O3:20
Tb 65 M1:1968 M2:1768 M3:1611 M4:1276.9 M5:1241.1 N1:396 N2:322.4 N3:284.1 N4:150.5 N5:150.5
    O1:45.6 O2:28.7 O3:22.6
Dy 66 M1:2047 M2:1842 M3:1676 M4:1333 M5:1292 N1:414.2 N2:333.5 N3:293.2 N4:153.6 N5:153.6 O1:49.9
    O2:26.3 O3:26.3
Ho 67 M1:2128 M2:1923 M3:1741 M4:1392 M5:1351 N1:432.4 N2:343.5 N3:308.2 N4:160 N5:160 O1:49.3
    O2:30.8 O3:24.1
Er 68 M1:2206 M2:2006 M3:1812 M4:1453 M5:1409 N1:449.8 N2:366.2 N3:320.2 N4:167.6 N5:167.6 O1:50.6
    O2:31.4 O3:24.7
Tm 69 M1:2307 M2:2090 M3:1885 M4:1515 M5:1468 N1:470.9 N2:385.9 N3:332.6 N4:175.5 N5:175.5 O1:54.7
    O2:31.8 O3:25
Yb 70 M1:2398 M2:2173 M3:1950 M4:1576 M5:1528 N1:480.5 N2:388.7 N3:339.7 N4:191.2 N5:182.4 O1:52
    O2:30.3 O3:24.1
Lu 71 M1:2491 M2:2264 M3:2024 M4:1639 M5:1589 N1:506.8 N2:412.4 N3:359.2 N4:206.1 N5:196.3 O1:57.3
    O2:33.6 O3:26.7
Hf 72 M1:2601 M2:2365 M3:2107 M4:1716 M5:1662 N1:538 N2:438.2 N3:380.7 N4:220 N5:211.5 N6:15.9
    N7:14.2 O1:64.2 O2:38 O3:29.9
Ta 73 M1:2708 M2:2469 M3:2194 M4:1793 M5:1735 N1:563.4 N2:463.4 N3:400.9 N4:237.9 N5:226.4 N6:23.5
    N7:21.6 O1:69.7 O2:42.2 O3:32.7
W 74 M1:2820 M2:2575 M3:2281 M4:1872 M5:1809 N1:594.1 N2:490.4 N3:423.61 N4:255.9 N5:243.5 N6:33.6
    N7:31.4 O1:75.6 O2:45.3 O3:36.8
Re 75 M1:2932 M2:2682 M3:2367 M4:1949 M5:1883 N1:625.4 N2:518.7 N3:446.8 N4:273.9 N5:260.5 N6:42.9
    N7:40.5 O1:83 O2:45.6 O3:34.6
Os 76 M1:3049 M2:2792 M3:2457 M4:2031 M5:1960 N1:658.2 N2:549.1 N3:470.7 N4:293.1 N5:278.5 N6:53.4
    N7:50.7 O1:84 O2:58 O3:44.5
Ir 77 M1:3174 M2:2909 M3:2551 M4:2116 M5:2040 N1:691.1 N2:577.8 N3:495.8 N4:311.9 N5:296.3 N6:63.8
    N7:60.8 O1:95.2 O2:63 O3:48
Pt 78 M2:3027 M3:2645 M4:2202 M5:2122 N1:725.4 N2:609.1 N3:519.4 N4:331.6 N5:314.6 N6:74.5 N7:71.2
    O1:101.7 O2:65.3 O3:51.7
Au 79 M2:3148 M3:2743 M4:2291 M5:2206 N1:762.1 N2:642.7 N3:546.3 N4:353.2 N5:335.1 N6:87.6 N7:83.9
    O1:107.2 O2:74.2 O3:57.2
Hg 80 M3:2847 M4:2385 M5:2295 N1:802.2 N2:680.2 N3:576.6 N4:378.2 N5:358.8 N6:104 N7:99.9 O1:127
    O2:83.1 O3:64.5
Tl 81 M3:2957 M4:2485 M5:2389 N1:846.2 N2:720.5 N3:609.5 N4:405.7 N5:385 N6:122.2 N7:117.8 O1:136
    O2:94.6 O3:73.5 O4:14.7 O5:12.5
Pb 82 M3:3066 M4:2586 M5:2484 N1:891.8 N2:761.9 N3:643.5 N4:434.3 N5:412.2 N6:141.7 N7:136.9
    O1:147 O2:106.4 O3:83.3 O4:20.7 O5:18.1
Bi 83 M3:3177 M4:2688 M5:2580 N1:939 N2:805.2 N3:678.8 N4:464 N5:440.1 N6:162.3 N7:157 O1:159.3
    O2:119 O3:92.6 O4:26.9 O5:23.8
Po 84 M4:2798 M5:2683 N1:995 N2:851 N3:705 N4:500 N5:473 N6:184 N7:184 O1:177 O2:132 O3:104 O4:31
    O5:31
At 85 M4:2909 M5:2787 N1:1042 N2:886 N3:740 N4:533 N5:507 N6:210 N7:210 O1:195 O2:148 O3:115 O4:40
    O5:40 P1:13
Rn 86 M4:3022 M5:2892 N1:1097 N2:929 N3:768 N4:567 N5:541 N6:238 N7:238 O1:214 O2:164 O3:127 O4:48
    O5:48 P1:16
Fr 87 M4:3136 M5:3000 N1:1153 N2:980 N3:810 N4:603 N5:577 N6:268 N7:268 O1:234 O2:182 O3:140 O4:58
    O5:58 P1:24 P2:14
Ra 88 M5:3105 N1:1208 N2:1058 N3:879 N4:636 N5:603 N6:299 N7:299 O1:254 O2:200 O3:153 O4:68 O5:68
    P1:31 P2:20 P3:12
Ac 89 N1:1269 N2:1080 N3:890 N4:675 N5:639 N6:319 N7:319 O1:272 O2:215 O3:167 O4:80 O5:80 P1:37
    P2:24 P3:15
Th 90 N1:1330 N2:1168 N3:966.4 N4:712.1 N5:675.2 N6:342.4 N7:333.1 O1:290 O2:229 O3:182 O4:92.5
    O5:85.4 P1:41.4 P2:24.5 P3:16.6
Pa 91 N1:1387 N2:1224 N3:1007 N4:743 N5:708 N6:371 N7:360 O1:310 O2:232 O3:187 O4:94 O5:94 P1:43
    P2:27 P3:17
U 92 N1:1439 N2:1271 N3:1043 N4:778.3 N5:736.2 N6:388.2 N7:377.4 O1:321 O2:257 O3:192 O4:102.8
    O5:94.2 P1:43.9 P2:26.8 P3:16.8
Np 93 N1:1501 N2:1328 N3:1085 N4:816 N5:771 N6:414 N7:403 O1:338 O2:274 O3:206 O4:109 O5:101 P1:47
    P2:29 P3:18
Pu 94 N1:1559 N2:1380 N3:1123 N4:846 N5:798 N6:436 N7:424 O1:350 O2:283 O3:213 O4:113 O5:102 P1:46
    P2:29 P3:16
Am 95 N1:1620 N2:1438 N3:1165 N4:880 N5:829 N6:461 N7:446 O1:365 O2:298 O3:219 O4:116 O5:106 P1:48
    P2:29 P3:16
Cm 96 N1:1684 N2:1498 N3:1207 N4:916 N5:862 N6:484 N7:470 O1:383 O2:313 O3:229 O4:124 O5:110 P1:50
    P2:30 P3:16
Bk 97 N1:1748 N2:1558 N3:1249 N4:955 N5:898 N6:511 N7:495 O1:399 O2:326 O3:237 O4:130 O5:117 P1:52
    P2:32 P3:16
Cf 98 N1:1813 N2:1620 N3:1292 N4:991 N5:930 N6:538 N7:520 O1:416 O2:341 O3:245 O4:137 O5:122 P1:54
    P2:33 P3:17
"""


class EdgeError(ValueError):
    """A name that is no edge of the table (the user's fault)."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One ionisation edge: the onset of its deepest-lying (lowest energy) subshell asked for."""

    element: str
    atomic_number: int
    shell: str
    subshell: str
    onset_ev: float

    @property
    def name(self) -> str:
        """As in a figure: ``Mn L``."""
        return f"{self.element} {self.shell}"

    @property
    def fit_ev(self) -> tuple[float, float]:
        """Where to fit the background: before the onset, wider for deeper edges, eV."""
        end = self.onset_ev - min(max(0.015 * self.onset_ev, 3.0), 12.0)
        return end - min(max(0.08 * self.onset_ev, 8.0), 60.0), end

    @property
    def signal_ev(self) -> tuple[float, float]:
        """Where to integrate the edge: 15 to 50 eV from just before the onset on, eV."""
        return self.onset_ev - 3.0, self.onset_ev + min(max(0.1 * self.onset_ev, 15.0), 50.0)

    def fit_on(self, axis: EnergyAxis) -> tuple[float, float]:
        """``fit_ev`` as far as the axis reaches, eV; the end may lie before the start."""
        return max(self.fit_ev[0], axis.offset_ev), min(self.fit_ev[1], axis.end_ev)

    def signal_on(self, axis: EnergyAxis) -> tuple[float, float]:
        """``signal_ev`` as far as the axis reaches, if that is 15 eV after the onset, eV."""
        start, end = self.signal_ev
        return start, max(min(end, axis.end_ev), self.onset_ev + _LEAST_SIGNAL_EV)

    def covered_by(self, axis: EnergyAxis) -> bool:
        """Whether the axis holds 15 eV of the edge and at least 4 eV (8 channels) to fit."""
        start, end = self.fit_on(axis)
        enough = max(_LEAST_FIT_EV, _LEAST_FIT_CHANNELS * axis.dispersion_ev)
        return end - start >= enough and self.signal_on(axis)[1] <= axis.end_ev


@cache
def levels() -> dict[str, tuple[int, dict[str, float]]]:
    """The table: symbol to (atomic number, subshell to energy in eV)."""
    found: dict[str, tuple[int, dict[str, float]]] = {}
    words = iter(_TABLE.split())
    current: dict[str, float] = {}
    for word in words:
        subshell, colon, energy = word.partition(":")
        if colon:
            current[subshell] = float(energy)
        else:
            current = {}
            found[word] = (int(next(words)), current)
    return found


def _subshell(element: str, shell: str, atomic_number: int) -> str | None:
    # The 3d shell makes an edge of its own from arsenic on; before it, 3p is what one sees.
    names = (
        (("M5", "M3", "M1") if atomic_number >= 33 else ("M3", "M1"))
        if shell == "M"
        else (_MAIN_SUBSHELLS[shell])
    )
    have = levels()[element][1]
    return next((name for name in names if name in have), None)


def find(name: str) -> Edge:
    """The edge that ``name`` means: ``Mn L``, ``Mn L3``, ``La M4,5``, ``O K``.

    Without a number the shell's main subshells are meant (L2,3, M4,5), whose onset is that
    of the lowest.

    Raises
    ------
    EdgeError
        If it is no edge up to 3 keV; the message lists the element's edges.
    """
    match = _NAME.fullmatch(name.strip())
    table = levels()
    if match is None or match[1] not in table:
        raise EdgeError(f"{name!r} names no edge: write an element and a shell, such as 'Mn L'")
    element, shell, numbers = match[1], match[2], match[3]
    atomic_number, have = table[element]
    subshell: str | None
    if numbers:
        subshell = shell + max(numbers.replace(",", "").replace("/", ""))
    else:
        subshell = _subshell(element, shell, atomic_number)
    if subshell not in have or have[subshell] > MAX_ONSET_EV:
        usable = [f"{element} {s} ({e:g} eV)" for s, e in have.items() if e <= MAX_ONSET_EV]
        raise EdgeError(
            f"{name!r} is not an edge between 10 and {MAX_ONSET_EV:g} eV; "
            f"{element} has " + (", ".join(usable) or "none there")
        )
    label = shell + (numbers or "")
    return Edge(element, atomic_number, label, subshell, have[subshell])


@cache
def main_edges() -> tuple[Edge, ...]:
    """Every element's main edges (K, L2,3, M4,5 or M2,3, N4,5) up to 3 keV, by onset."""
    edges = []
    for element, (atomic_number, have) in levels().items():
        for shell in "KLMNO":
            subshell = _subshell(element, shell, atomic_number)
            if subshell is not None and have[subshell] <= MAX_ONSET_EV:
                edges.append(Edge(element, atomic_number, shell, subshell, have[subshell]))
    return tuple(sorted(edges, key=lambda edge: edge.onset_ev))


def within(axis: EnergyAxis) -> tuple[Edge, ...]:
    """Main edges whose default windows lie inside the axis, by onset."""
    return tuple(edge for edge in main_edges() if edge.covered_by(axis))


_OFTEN_MAPPED = (
    "Mn L", "Fe L", "Cr L", "Co L", "Ni L", "Ti L", "V L", "Cu L", "La M", "Ce M",
    "O K", "N K", "C K", "B K", "F K", "Si K", "Al K", "Si L",
)  # fmt: skip


def guess(axis: EnergyAxis) -> tuple[Edge, ...]:
    """What one would most likely look at on an axis nobody told us about.

    Mn and Fe if both are there, else the first in a list of often mapped edges; empty if none
    fits.
    """
    mapped = [edge for edge in map(find, _OFTEN_MAPPED) if edge.covered_by(axis)]
    names = {edge.name for edge in mapped}
    if {"Mn L", "Fe L"} <= names:
        return tuple(mapped[:2])
    return tuple(mapped[:1])
