package protocol

import "strconv"

// ImportSpan is how many lines of an import may share groups: those from the first of such a
// span on, whatever stands in the file before. A span has no more groups than lines.
const ImportSpan = 100

// ImportedGroup is the id of a group of an import: the number-th of a span of lines, both
// counted from 0. base says which import.
func ImportedGroup(tenant, base string, span, number int) string {
	return hashedGroup(tenant, "\x00import", base, strconv.Itoa(span), strconv.Itoa(number))
}
