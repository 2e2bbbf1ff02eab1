/** Masks as GeoJSON in pixels: for images that lie on no map. */
import type { Mask, Polygon } from 'sam3-node'

type Ring = [x: number, y: number][]

const closed = (ring: readonly (readonly [number, number])[]): Ring =>
  [...ring, ring[0]!].map(([x, y]): [number, number] => [x, y])

const feature = (coordinates: Ring[], properties: object) => ({
  type: 'Feature' as const,
  geometry: { type: 'Polygon' as const, coordinates },
  properties,
})

/** A feature for each piece of each mask; `value` numbers the masks from 1. */
export function masksToGeoJson(masks: readonly Mask[]) {
  const features = masks.flatMap((mask, index) =>
    mask
      .toPolygons()
      .map(({ outline, holes }: Polygon) => feature([outline, ...holes].map(closed), { value: index + 1 })),
  )
  return { type: 'FeatureCollection' as const, features }
}

/** A feature for each box. */
export function boxesToGeoJson(boxes: readonly { box: readonly number[]; properties: object }[]) {
  const features = boxes.map(({ box, properties }) => {
    const [x0, y0, x1, y1] = box as [number, number, number, number]
    const corners: Ring = [
      [x0, y0],
      [x1, y0],
      [x1, y1],
      [x0, y1],
    ]
    return feature([closed(corners)], { ...properties, bbox_pixel: [x0, y0, x1, y1] })
  })
  return { type: 'FeatureCollection' as const, features, num_detections: features.length }
}
