"""Everything on the page of a map except its coloured cells.

Where each element stands, and the function that draws it::

    +------------------------------------------------------+
    | heading: the prompt                (text.title_of)   |
    | subtitle: date, negative prompts   (text.subtitle_of)|
    | title of one map among several                       |
    | +-----------------------------------+  +--+          |
    | |                                N  |  |  | colour   |
    | |          draw_north  ---------> ^ |  |  | bar, or  |
    | |   o Delft     (draw_places)       |  |  | one      |
    | |   ~~~~~~~~    (draw_outlines)     |  |  | swatch a |
    | |                                   |  |  | category |
    | |  2 km                             |  +--+          |
    | | |-----|  <--- draw_scale_bar      |  [/] no data   |
    | +-----------------------------------+  (draw_legend) |
    | credits: model, imagery, licence   (text.credits_of) |
    +------------------------------------------------------+
"""
