package protocol

import (
	"math/bits"
	"strconv"

	"go.temporal.io/sdk/temporal"
)

const (
	// SmallBytes is how many bytes of data an execution has at least to be in a size class.
	SmallBytes = 4 << 10
	// sizeClasses is how many classes there are: each begins at twice the bytes of the one
	// before it, and the last one has no end.
	sizeClasses = 10
)

// SizeClass is a class of executions by the bytes of data with which they were started. The
// engine counts the executions of each, and so knows about how much a tenant keeps.
type SizeClass int

// SizeClasses are all classes.
func SizeClasses() []SizeClass {
	classes := make([]SizeClass, sizeClasses)
	for i := range classes {
		classes[i] = SizeClass(i)
	}
	return classes
}

// SizeClassNames are the values of [AttrSize].
func SizeClassNames() []string {
	names := make([]string, sizeClasses)
	for i := range names {
		names[i] = SizeClass(i).Name()
	}
	return names
}

// begin is how many bytes an execution of the class has at least.
func (c SizeClass) begin() int { return SmallBytes << c }

// Bytes is about how many bytes an execution of the class has: within a third.
func (c SizeClass) Bytes() int64 { return int64(c.begin()) * 3 / 2 }

// Name is the class's value of [AttrSize].
func (c SizeClass) Name() string { return strconv.Itoa(c.begin() >> 10) }

// SizeOf is the value of [AttrSize] of an execution with so many bytes of data: empty for a
// small one, which has none.
func SizeOf(data int) string {
	if data < SmallBytes {
		return ""
	}
	return SizeClass(min(bits.Len(uint(data/SmallBytes))-1, sizeClasses-1)).Name()
}

// sizeAttributes are the search attributes by which an execution with so many bytes of data
// counts to its class.
func sizeAttributes(data int) []temporal.SearchAttributeUpdate {
	if class := SizeOf(data); class != "" {
		return []temporal.SearchAttributeUpdate{AttrSize.ValueSet(class)}
	}
	return nil
}
