//! How report and pictures look, in light and in dark. Constants.

/// Of a picture, inside a page or alone.
pub const PICTURE: &str = "
svg{font:12px system-ui,sans-serif;--ground:#fff;--ink:#1f2430;--soft:#5b6472;--grid:#e4e7ec;--warm:#f3f4f6;
--c0:#2563eb;--c1:#c2410c;--c2:#15803d;--c3:#7e22ce}
@media (prefers-color-scheme:dark){svg{--ground:#14171f;--ink:#e6e9ef;--soft:#a3acba;--grid:#2a303c;--warm:#1c212c;
--c0:#7aa2ff;--c1:#ff9d5c;--c2:#5fd38a;--c3:#d39bff}}
svg .ground{fill:var(--ground)}svg text{fill:var(--soft)}svg .title{fill:var(--ink);font-size:15px;font-weight:600}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}svg .grid{stroke:var(--grid);fill:none}
svg .axis{stroke:var(--soft);fill:none}svg .warm{fill:var(--warm)}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round}
svg .c0{stroke:var(--c0)}svg .c1{stroke:var(--c1);stroke-dasharray:7 4}svg .c2{stroke:var(--c2)}
svg .c3{stroke:var(--c3);stroke-dasharray:2 4}
svg .span{fill:none;stroke:var(--grid);stroke-width:6;stroke-linecap:round}svg .mark{stroke:var(--ground);stroke-width:.8}
svg .m0{fill:var(--c0)}svg .m1{fill:var(--c1)}svg .m2{fill:var(--c2)}svg .m3{fill:var(--c3)}
";

/// Of the page.
pub const PAGE: &str = "
:root{color-scheme:light dark;--ground:#fff;--ink:#1f2430;--soft:#5b6472;--rule:#e4e7ec;--good:#15803d;--bad:#b91c1c}
@media (prefers-color-scheme:dark){:root{--ground:#14171f;--ink:#e6e9ef;--soft:#a3acba;--rule:#2a303c;--good:#5fd38a;
--bad:#ff8080}}
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}p{margin:.3rem 0}
.soft{color:var(--soft)}.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--rule)}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500}
.facts td{text-align:left}.facts td:first-child{color:var(--soft);width:14rem}
svg{width:100%;height:auto;margin-top:1.2rem}
";
