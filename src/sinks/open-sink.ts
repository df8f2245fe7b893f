// From what a sink is, as the setting says it, to the sink itself. A new kind gets its line here.
//
// **Invariant:** opening never throws: what cannot be opened now is a sink that fails, and is tried again.
import { sinkName, type SinkSpec } from '../flows/sink-text.ts'
import { openFile } from './file.ts'
import { openOtlp } from './otlp.ts'
import type { SinkOptions } from './queued-sink.ts'
import type { Sink, SinkEvents } from './sink.ts'
import { openStdout } from './stdout.ts'
import { openSyslog } from './syslog.ts'

export function openSink(spec: SinkSpec, events: SinkEvents, options: SinkOptions = {}): Sink {
  switch (spec.kind) {
    case 'stdout':
      return openStdout(events, options)
    case 'file':
      return openFile(spec, events, options)
    case 'syslog':
      return openSyslog({ ...spec, name: sinkName(spec) }, events, options)
    case 'otlp':
      return openOtlp({ ...spec, name: sinkName(spec) }, events, options)
  }
}
