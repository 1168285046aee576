// A site's own colour: black or white upon it, and as the colour of links only where they stay readable.

// Relative luminance up to which links have a contrast of 4.5 to the light grounds of widget.css (paper, card, tint), and
// from which to the dark ones; and from which black is easier to read upon a colour than white (WCAG 2.2).
const LIGHT_UP_TO = 0.15;
const DARK_FROM = 0.3;
const BLACK_FROM = 0.179;

/** The rule that sets the colour for one widget, or an empty text for a colour no browser knows. */
export function colourRule(value) {
  const primary = hex(value);
  if (!primary) return "";
  const bright = luminance(primary);
  const links = (bright <= LIGHT_UP_TO ? `--own-light: ${primary};` : "") + (bright >= DARK_FROM ? `--own-dark: ${primary};` : "");
  const on = bright < BLACK_FROM ? "#fff" : "#000";
  return `:host { --citewell-primary: ${primary} !important; --citewell-on-primary: ${on} !important; ${links} }`;
}

/** A CSS colour as #rrggbb, or an empty text. */
function hex(value) {
  const canvas = document.createElement("canvas").getContext("2d");
  if (!value || !canvas || !CSS.supports("color", value)) return "";
  canvas.fillStyle = value;
  return canvas.fillStyle.length === 7 ? canvas.fillStyle : "";
}

function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
