// Package leaktest looks for secrets in all that a real engine answers and writes
// while workflows use the codec. It stands apart so that the codec's own tests
// need no engine: they run with the race detector, and fuzz at once.
package leaktest
