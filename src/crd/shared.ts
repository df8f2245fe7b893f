// Fields that both custom resources have: conditions, and who and what is named in them.
//
// **Invariant:** bounds are those of the API server's own names (253), namespaces (63) and UIDs, so that nothing valid is refused.
import { oneOf, text, time, list, object, type TypeOf } from './fields.ts'

export const MESSAGE_LENGTH = 1024

export const uid = (description: string) => text(description, 128)
export const objectName = (description: string) => text(description, 253)
export const namespaceName = (description: string) => text(description, 63)
/** Compared as an integer of any length; never as text or as a number of JavaScript. */
export const resourceVersion = (description: string) => text(description, 64, { pattern: '^[0-9]+$' })
export const reason = (description: string) => text(description, 128, { pattern: '^[A-Za-z][A-Za-z0-9]*$' })
export const message = (description: string) => text(description, MESSAGE_LENGTH)

const CONDITION = object(
  {
    type: text('What the condition is about.', 64, { pattern: '^[A-Za-z][A-Za-z0-9]*$' }),
    status: oneOf(['True', 'False', 'Unknown'], 'True, False, or Unknown where nobody can say.'),
    reason: reason('Why, in one word for programs.'),
    message: message('Why, in a sentence for people; empty where there is nothing to add.'),
    lastTransitionTime: time('Since when the status is what it is.'),
  },
  'One condition.',
)

export type Condition = TypeOf<typeof CONDITION>

/** Each type is there once, so that several writers can own one each. */
export const conditions = (description: string) => list(CONDITION, 8, description, 'type')
