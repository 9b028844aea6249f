// Package codec keeps what Postdate hands to Temporal secret from Temporal: a
// payload codec that encrypts every payload, memo and failure before it leaves
// the process, and an HTTP endpoint by which Temporal's Web UI and command line
// show them to whoever holds the operator's key.
//
// What it cannot hide, and what therefore must hold no secret: workflow ids,
// search attributes, the names of workflows, activities, signals, updates and
// memo fields, the types of errors, headers such as trace contexts, reasons
// given for a cancellation or termination, and how long each payload is.
//
// It says of each payload that somebody who holds the key wrote it, not where
// it belongs: who can write to Temporal's database can still put one encrypted
// payload in another's place, or an unencrypted one, which is read as it is,
// for so old data stays readable. It protects against reading, not against
// whoever rules the engine.
package codec
