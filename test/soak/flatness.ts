// Whether an agent's memory and open files stay where they are: its samples of one round.
//
// **Invariant:** the first third is warming up and says nothing; too few samples say nothing at all.
import { median } from '../bench/bench.ts'
import type { Sample } from './fleet.ts'

/** What a heap may be larger by, between two collections of its garbage. */
const SLACK_KB = 32 * 1024
const SLACK_FILES = 4
const ENOUGH_SAMPLES = 30

export interface Flatness {
  /** Medians of the middle third and of the last one; null where there were too few samples. */
  readonly rssMb: readonly [number, number] | null
  readonly files: readonly [number, number] | null
  readonly grows: boolean
}

export function flatness(samples: readonly Sample[]): Flatness {
  if (samples.length < ENOUGH_SAMPLES) return { rssMb: null, files: null, grows: false }
  const third = Math.floor(samples.length / 3)
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)]
  const of = (key: 'rssKb' | 'files'): readonly [number, number] => [median(middle.map((one) => one[key])), median(last.map((one) => one[key]))]
  const [rss, files] = [of('rssKb'), of('files')]
  return {
    rssMb: [Math.round(rss[0] / 1024), Math.round(rss[1] / 1024)],
    files,
    grows: rss[1] - rss[0] > SLACK_KB || files[1] - files[0] > SLACK_FILES,
  }
}
