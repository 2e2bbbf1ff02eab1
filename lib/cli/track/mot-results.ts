/** Writes what `track` found in the formats of the MOT challenge. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { MotText } from '../../video/export/mot.js'
import { MotFile } from '../../video/export/mot-file.js'
import { motSequenceInfo } from '../../video/export/mot-sequence.js'
import type { Sink, TrackSettings } from './sink.js'

/** The results of a tracker, in one file. */
export function motSink(path: string): Sink {
  return textSink(path, new MotText())
}

/** A sequence as evaluations and annotation tools take it: `gt/gt.txt`, the names of its classes, `seqinfo.ini`. */
export async function motGroundTruthSink(folder: string, settings: TrackSettings): Promise<Sink> {
  const { video, width, height, frameCount, frameRate, categories } = settings
  await mkdir(join(folder, 'gt'), { recursive: true })
  const mot = new MotText({ format: 'ground-truth', classes: categories })
  const lines = textSink(join(folder, 'gt', 'gt.txt'), mot)
  let length = frameCount ?? 1
  return {
    path: folder,
    add: async (frame, result) => {
      length = Math.max(length, result.frameIndex + 1)
      await lines.add(frame, result)
    },
    close: async () => {
      await writeFile(join(folder, 'gt', 'labels.txt'), `${mot.classes.join('\n')}\n`)
      const info = { name: parse(video).name || 'video', width, height, frameCount: length, frameRate }
      await writeFile(join(folder, 'seqinfo.ini'), motSequenceInfo(info))
      await lines.close()
    },
    abort: () => lines.abort(),
  }
}

function textSink(path: string, mot: MotText): Sink {
  const lines = new MotFile(`${path}.part`, mot)
  return {
    path,
    add: (_frame, result) => lines.add(result),
    close: async () => {
      await lines.close()
      await rename(`${path}.part`, path)
    },
    abort: async () => {
      lines.abort()
      await rm(`${path}.part`, { force: true })
    },
  }
}
