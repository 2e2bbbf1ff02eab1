/** Colours that can be told apart on a photograph, by each other and against the picture. */

/** Red, green and blue, 0..255. */
export type Rgb = readonly [red: number, green: number, blue: number]

/** The first ones are chosen by hand: bright, saturated, neighbours far apart in hue. */
const CHOSEN: readonly Rgb[] = [
  [255, 64, 87],
  [0, 180, 255],
  [255, 196, 0],
  [38, 214, 110],
  [190, 90, 255],
  [255, 128, 32],
  [0, 214, 200],
  [255, 90, 200],
  [160, 220, 40],
  [90, 120, 255],
  [255, 150, 130],
  [120, 235, 235],
]
/** Turning the hue by the golden angle keeps any number of colours apart. */
const GOLDEN_ANGLE = 137.508

function fromHue(hue: number, saturation: number, lightness: number): Rgb {
  const chroma = saturation * Math.min(lightness, 1 - lightness)
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))))
  }
  return [channel(0), channel(8), channel(4)]
}

/** The colour of the instance with this index; the same index always has the same colour. */
export function instanceColor(index: number): Rgb {
  const chosen = CHOSEN[index]
  if (chosen) return chosen
  return fromHue((index * GOLDEN_ANGLE) % 360, 0.85, index % 2 === 0 ? 0.58 : 0.68)
}

/** As SVG and CSS write it. */
export function toHex(color: Rgb): string {
  return `#${color.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`
}

/** Black or white, whichever is easier to read on `background` (WCAG relative luminance). */
export function readableOn(background: Rgb): '#000' | '#fff' {
  const [r, g, b] = background.map((channel) => {
    const linear = channel / 255
    return linear <= 0.04045 ? linear / 12.92 : ((linear + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? '#000' : '#fff'
}
