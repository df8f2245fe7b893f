// What a sink tells its owner, gathered.
import type { Loss } from '../../src/sinks/loss.ts'
import type { SinkEvents } from '../../src/sinks/sink.ts'

export class HeardEvents implements SinkEvents {
  readonly losses: Loss[] = []
  /** `failed: WHY`, `recovered`. */
  readonly told: string[] = []

  get lost(): number {
    return this.losses.reduce((sum, { count }) => sum + count, 0)
  }

  onLost(loss: Loss): void {
    this.losses.push(loss)
  }

  onFailed(message: string): void {
    this.told.push(`failed: ${message}`)
  }

  onRecovered(): void {
    this.told.push('recovered')
  }
}
