// Package protocol is what histories record and processes pass on to each other: the names
// of workflows, activities, Updates, signals and queries, ids, start options, inputs and
// results. Nothing runs here.
//
// Executions sleep for years and were started with these words. JSON tags hold them, and
// testdata/recorded.golden lists them: a field may be added; one that is renamed or removed
// needs a way for the executions that know the old one.
package protocol
