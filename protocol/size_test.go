package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
)

// What is estimated of an execution is within a third of what it has, up to what one takes.
func TestSizeClass_IsWithinAThird(t *testing.T) {
	t.Parallel()
	require.Empty(t, sizeAttributes(SmallBytes-1))
	byName := make(map[string]SizeClass)
	for _, class := range SizeClasses() {
		byName[class.Name()] = class
	}
	require.Len(t, byName, len(SizeClassNames()))
	for size := SmallBytes; size <= 2<<20; size += 1013 {
		attributes := temporal.NewSearchAttributes(sizeAttributes(size)...)
		name, ok := attributes.GetKeyword(AttrSize)
		require.True(t, ok)
		class, ok := byName[name]
		require.True(t, ok, name)
		require.InDelta(t, size, class.Bytes(), float64(size)/2, size)
		require.LessOrEqual(t, float64(size), float64(class.Bytes())*4/3+1, size)
	}
}
