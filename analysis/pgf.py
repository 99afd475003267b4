r"""A figure as PGF, set by a paper's own TeX in its own fonts, and made without a run of TeX.

Matplotlib's PGF renderer asks TeX how large each text is, and so wants an installation. Here
sizes are those of Matplotlib's own fonts, as for PDF and PNG, and some more: they decide what room
a text is given, while the paper's TeX sets it at the same anchor.
"""

import io
import re
from typing import Any

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pgf import RendererPgf
from matplotlib.figure import Figure
from matplotlib.image import imsave

ROOM = 1.15
"""How much wider a text may be in the paper's font: Computer Modern is wider than ours by up to a
tenth, and wider still in its small sizes."""

_FRAME = r"""%% A picture {width:.3g} inches wide. In the preamble: \usepackage{{amssymb,pgf}}
%% Where it is to stand: \input{{{name}.pgf}}
\begingroup%
\makeatletter%
\providecommand\mathdefault[1]{{#1}}%
\begin{{pgfpicture}}%
\pgfpathrectangle{{\pgfpointorigin}}{{\pgfqpoint{{{width:f}in}}{{{height:f}in}}}}%
\pgfusepath{{use as bounding box, clip}}%
{body}\end{{pgfpicture}}%
\makeatother%
\endgroup%
"""

_WRITTEN_OUT = str.maketrans(
    {mark: f"\\{mark}" for mark in "&#_${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "|": r"\textbar{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
)
"""Characters that mean something to TeX, or another sign in its oldest fonts; `^` and `%` are
seen to by Matplotlib."""


def to_pgf(figure: Figure, name: str) -> dict[str, bytes]:
    r"""Return the contents of the files that a picture called `name` needs, by the end of the name.

    ".pgf" is what to `\input`; "-0.png" and so on hold what is drawn in pixels, and must lie where
    TeX looks for pictures. Within `plotting.style`, which leaves the fonts to the document.
    """
    width, height = figure.get_size_inches()
    pen = _Renderer(figure, name)
    figure.draw(MixedModeRenderer(figure, width, height, figure.dpi, pen))
    text = _FRAME.format(name=name, width=width, height=height, body=pen.fh.getvalue())
    return {".pgf": text.encode(), **pen.images}


class _Renderer(RendererPgf):  # type: ignore[misc]
    """Matplotlib's renderer, where sizes of texts and the inclusion of images ask no TeX."""

    def __init__(self, figure: Figure, name: str) -> None:
        super().__init__(figure, io.StringIO())
        self.images: dict[str, bytes] = {}
        self._name = name
        self._sizes = RendererAgg(1, 1, figure.dpi)

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> Any:
        width, height, descent = self._sizes.get_text_width_height_descent(s, prop, ismath)
        return ROOM * width, height, descent

    def draw_text(
        self, gc: Any, x: Any, y: Any, s: str, prop: Any, angle: Any, ismath: Any = False,
        mtext: Any = None,
    ) -> None:  # fmt: skip
        super().draw_text(gc, x, y, as_tex(s, maths=bool(ismath)), prop, angle, ismath, mtext=mtext)

    def option_scale_image(self) -> bool:
        # Images then come cut to what is shown, in pixels of the figure, without a transform.
        return False

    def draw_image(self, gc: Any, x: Any, y: Any, im: Any, transform: Any = None) -> None:
        end = f"-{len(self.images)}.png"
        buffer = io.BytesIO()
        # Rows come from the bottom up.
        unsigned: Any = {"Software": None}
        imsave(buffer, im[::-1], format="png", metadata=unsigned)
        self.images[end] = buffer.getvalue()
        rows, columns = im.shape[:2]
        inches = {"x": x, "y": y, "width": columns, "height": rows}
        place = {key: f"{key}={pixels / self.dpi:f}in" for key, pixels in inches.items()}
        self.fh.write(
            f"\\pgftext[left,bottom,{place['x']},{place['y']}]"
            f"{{\\pgfimage[{place['width']},{place['height']}]{{{self._name}{end}}}}}%\n"
        )


def as_tex(text: str, *, maths: bool) -> str:
    r"""Return a text of Matplotlib's as TeX reads it: formulas as they are, the rest literally.

    maths: whether dollars enclose formulas, but for those written `\$`.
    """
    parts = re.split(r"((?<!\\)\$.*?(?<!\\)\$)", text) if maths else [text]
    parts[::2] = [part.replace(r"\$", "$").translate(_WRITTEN_OUT) for part in parts[::2]]
    return "".join(parts)
