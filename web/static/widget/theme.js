// A site's own colour: black or white upon it, and as the colour of links only where they stay readable.

const READABLE = 4.5;
// What links stand on: --paper, --card and --tint of widget.css, in light and in dark.
const GROUNDS = { light: ["#faf8f4", "#ffffff", "#e8f1f0"], dark: ["#12181b", "#1b2327", "#1d3033"] };

/** The rule that sets the colour for one widget, or an empty text for a colour no browser knows. */
export function colourRule(value) {
  const primary = hex(value);
  if (!primary) return "";
  const on = contrast(primary, "#ffffff") >= contrast(primary, "#000000") ? "#ffffff" : "#000000";
  const links = Object.keys(GROUNDS)
    .filter((theme) => GROUNDS[theme].every((ground) => contrast(primary, ground) >= READABLE))
    .map((theme) => `--own-link-${theme}: ${primary};`);
  return `.cw { --own: ${primary}; --on-own: ${on}; ${links.join(" ")} }`;
}

/** A CSS colour as #rrggbb, or an empty text. */
function hex(value) {
  if (!value || !CSS.supports("color", value)) return "";
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = value;
  return /^#[0-9a-f]{6}$/.test(canvas.fillStyle) ? canvas.fillStyle : "";
}

/** WCAG 2.2 contrast ratio of two sRGB colours. */
function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
