// Planted bugs of sinks and of the stream on the socket: what would lose a record untold, hold somebody back, or write where it must not.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const SINK_MUTANTS: readonly Mutant[] = [
  { title: 'sinks: the bytes of a queue have no bound', file: 'sinks/queue.ts', search: ' || this.#bytes + bytes > this.#limits.bytes * factor', replace: '', caughtBy: 'sinkQueue' },
  { title: 'sinks: what is queued at the end is forgotten', file: 'sinks/queue.ts', search: 'for (const { line } of this.take(Infinity)) this.lose(line)', replace: '', caughtBy: 'sinkQueue' },
  { title: 'sinks: a link is followed', file: 'sinks/file.ts', search: ' | constants.O_NOFOLLOW', replace: '', caughtBy: 'fileSink' },
  { title: 'sinks: what a crash left of a line stays open', file: 'sinks/file.ts', search: 'if (buffer[0] !== 10)', replace: 'if (buffer[0] === 0)', caughtBy: 'fileSink' },
  { title: 'sinks: older parts are kept for ever', file: 'sinks/file-folder.ts', search: 'stamps.slice(0, Math.max(0, stamps.length - keep))', replace: 'stamps.slice(0, 0)', caughtBy: 'fileSink' },
  { title: 'sinks: a certificate is not looked at', file: 'sinks/syslog.ts', search: 'tls.connect({ host, port,', replace: 'tls.connect({ host, port, rejectUnauthorized: false,', caughtBy: 'syslogSink' },
  { title: 'sinks: a length is of characters', file: 'sinks/syslog-frame.ts', search: 'Buffer.byteLength(message)', replace: 'message.length', caughtBy: 'syslogSink' },
  { title: 'sinks: what a collector rejects counts as written', file: 'sinks/queued-sink.ts', search: 'this.#queue.reject(this.#pending.slice(0, count), rejected)\n        this.#written += count - rejected', replace: 'this.#written += count', caughtBy: 'otlpSink' },
  { title: 'sinks: a collector may claim to have rejected more than it got', file: 'sinks/otlp-exporter.ts', search: 'Math.min(count, sent)', replace: 'count', caughtBy: 'otlpSink' },
  { title: 'sinks: one record that a collector never takes holds back all others', file: 'sinks/otlp.ts', search: 'if (some.length === 1) return { count: 1, rejected, why }', replace: 'if (some.length === 1) throw new Error(why)', caughtBy: 'otlpSink' },
  { title: 'sinks: a certificate of a collector is not looked at', file: 'sinks/otlp-exporter.ts', search: 'rejectUnauthorized: true', replace: 'rejectUnauthorized: false', caughtBy: 'otlpSink' },
  { title: 'sinks: a collector may take as long as it likes to answer', file: 'sinks/otlp-exporter.ts', search: 'this.close()\n        reject(this.#silence())', replace: '', caughtBy: 'otlpSink' },
  { title: 'sinks: a closed one goes on asking', file: 'sinks/otlp-exporter.ts', search: "if (this.#isClosed) throw new Error('it is closed')", replace: '', caughtBy: 'otlpSink' },
  { title: 'sinks: one that fails is told of its own loss', file: 'sinks/fan-out.ts', search: "if (member.sink.state().failure === null) return this.#give(member, this.#lostRecord(of, loss))", replace: 'return this.#give(member, this.#lostRecord(of, loss))', caughtBy: 'fanOut' },
  { title: 'stream: what falls out before a slow reader is not counted', file: 'serve/flow-reader.ts', search: 'if (this.#isWanted(number, line)) this.#loss.add(line.record.time)', replace: '', caughtBy: 'flowStream' },
  { title: 'stream: what a reader did not ask for is lost to it', file: 'serve/flow-reader.ts', search: 'if (this.#isWanted(number, line)) this.#loss.add', replace: 'this.#loss.add', caughtBy: 'flowStream' },
  { title: 'stream: a reader that takes nothing keeps its place', file: 'serve/flow-reader.ts', search: ', () => this.#response.req.socket.destroy())\n  }\n\n  #tellLoss', replace: ', () => undefined)\n  }\n\n  #tellLoss', caughtBy: 'flowStream' },
  { title: 'stream: as many readers as like', file: 'serve/flows.ts', search: 'if (this.#readers.size >= readers)', replace: 'if (this.#readers.size > 10 * readers)', caughtBy: 'flowStream' },
]
