package apiserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGuesses_CostNobodyButTheirSource(t *testing.T) {
	t.Parallel()
	g, now := newGuesses(), time.Now()
	good := hash("good")
	g.right(good, now)
	refused := 0
	for range 385 { // in a second
		if !g.allow("198.51.100.7", hash("wrong"), now) {
			refused++
			continue
		}
		g.wrong("198.51.100.7", now)
	}
	require.Equal(t, 385-wrongKeysBurst, refused)
	require.True(t, g.allow("198.51.100.8", hash("wrong"), now), "another source")
	require.True(t, g.allow("198.51.100.7", good, now), "a key that was right a moment ago, behind the same address")
	require.True(t, g.allow("198.51.100.7", hash("wrong"), now.Add(time.Second)), "a second later")
}

func TestGuesses_RemembersNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	g, now := newGuesses(), time.Now()
	for i := range 2*maxSources + 5 {
		g.wrong(string(rune(i)), now)
		g.right(hash(string(rune(i))), now)
	}
	require.LessOrEqual(t, len(g.sources), maxSources)
	require.LessOrEqual(t, len(g.good), maxGoodKeys)
}

func TestKeys_ThatAreNoneAreNotLookedFor(t *testing.T) {
	t.Parallel()
	text, _ := newKey("_acme_")
	tenant, ok := isKey(text)
	require.True(t, ok)
	require.Equal(t, "_acme_", tenant)
	for i := range text {
		other := byte('A')
		if text[i] == 'A' {
			other = 'B'
		}
		_, ok := isKey(text[:i] + string(other) + text[i+1:])
		require.False(t, ok, "one character is another: the %dth", i)
	}
	_, ok = isKey("pdk_nobody_ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG")
	require.False(t, ok)
}
