package apiserver

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// stuck gives some bytes and then nothing for ever, unless it is let go.
type stuck struct {
	io.Reader
	held chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		<-s.held
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Whoever knows a source's URL may send large bodies that never end: small ones of the same
// source get through, and all of other sources.
func TestInboundBodies_AreBoundedBySource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, held := newBodies(), make(chan struct{})
		one, other := sourceKey{"acme", "src_1"}, sourceKey{"acme", "src_2"}
		read := func(key sourceKey, from io.Reader) error {
			room := b.enter(key)
			defer room.leave()
			_, err := readGrowing(context.Background(), from, room)
			return err
		}
		ended := make(chan error, 100)
		for range 100 {
			go func() { ended <- read(one, &stuck{bytes.NewReader(make([]byte, 700<<10)), held}) }()
		}
		synctest.Wait()
		require.NoError(t, read(one, strings.NewReader(strings.Repeat("x", 30<<10))))
		require.NoError(t, read(other, strings.NewReader(strings.Repeat("x", 1<<20))))
		require.Equal(t, postdate.Unavailable, postdate.CodeOf(read(one, strings.NewReader(strings.Repeat("x", 1<<20)))))
		close(held)
		for range cap(ended) {
			require.Error(t, <-ended)
		}
		require.NoError(t, read(one, strings.NewReader(strings.Repeat("x", 1<<20))), "all of it is free again")
		require.Empty(t, b.sources)
	})
}
