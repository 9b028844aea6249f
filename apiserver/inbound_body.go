package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/postdate/postdate"
)

const (
	// inboundBytes bounds the bodies of requests to all sources that are in memory at once,
	// and sourceBytes those of one: before it is read nobody knows whose a request is, so who
	// knows one source's path takes nothing from the others.
	inboundBytes = 64 << 20
	sourceBytes  = 16 << 20
	// smallBody is what each request may take from a third bound of smallBytes, whosever it
	// is: most webhooks are smaller, and get through whatever large ones a stranger sends.
	smallBody  = 32 << 10
	smallBytes = 64 << 20
	// roomTimeout bounds the wait for others to be done.
	roomTimeout = 2 * time.Second
	// bodyTimeout bounds how long a body may take to come.
	bodyTimeout = 15 * time.Second
	// firstRead is the memory with which a body begins to be read. It grows as more comes.
	firstRead = 8 << 10
)

// bodies bounds the memory that bodies of requests to sources take.
type bodies struct {
	small, all *semaphore.Weighted

	mu      sync.Mutex
	sources map[sourceKey]*sourceRoom
}

// sourceRoom is the memory of one source, which so many requests use.
type sourceRoom struct {
	*semaphore.Weighted
	users int
}

func newBodies() *bodies {
	return &bodies{
		small: semaphore.NewWeighted(smallBytes), all: semaphore.NewWeighted(inboundBytes), sources: make(map[sourceKey]*sourceRoom),
	}
}

// bodyRoom is the memory that one request takes.
type bodyRoom struct {
	bodies *bodies
	key    sourceKey
	source *sourceRoom
	// small is what was taken of smallBytes, and taken what of the others.
	small, taken int64
}

func (b *bodies) enter(key sourceKey) *bodyRoom {
	b.mu.Lock()
	defer b.mu.Unlock()
	room, ok := b.sources[key]
	if !ok {
		room = &sourceRoom{Weighted: semaphore.NewWeighted(sourceBytes)}
		b.sources[key] = room
	}
	room.users++
	return &bodyRoom{bodies: b, key: key, source: room}
}

// take waits until there is room for so many bytes more.
func (r *bodyRoom) take(ctx context.Context, bytes int) error {
	ctx, stop := context.WithTimeout(ctx, roomTimeout)
	defer stop()
	if r.acquire(ctx, int64(bytes)) != nil {
		return &postdate.Error{
			Code: postdate.Unavailable, Detail: "too many requests to this source are read just now: try again", RetryAfter: time.Second,
		}
	}
	return nil
}

func (r *bodyRoom) acquire(ctx context.Context, bytes int64) error {
	if r.small+bytes <= smallBody {
		err := r.bodies.small.Acquire(ctx, bytes)
		if err == nil {
			r.small += bytes
		}
		return err
	}
	err := r.source.Acquire(ctx, bytes)
	if err != nil {
		return err
	}
	if err = r.bodies.all.Acquire(ctx, bytes); err != nil {
		r.source.Release(bytes)
		return err
	}
	r.taken += bytes
	return nil
}

func (r *bodyRoom) leave() {
	r.bodies.small.Release(r.small)
	r.source.Release(r.taken)
	r.bodies.all.Release(r.taken)
	r.bodies.mu.Lock()
	defer r.bodies.mu.Unlock()
	r.source.users--
	if r.source.users == 0 {
		delete(r.bodies.sources, r.key)
	}
}

// readInbound reads the body of a request to a source: as it came, and what it holds. What
// is too long, or does not come whole, is refused.
func readInbound(c echo.Context, room *bodyRoom, packed bool) (body, content []byte, err error) {
	const most = postdate.MaxInboundBody
	r := c.Request()
	if r.ContentLength > most {
		return nil, nil, errTooLarge(most)
	}
	connection := http.NewResponseController(c.Response())
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout)) // not of what is no connection, as in tests
	body, err = readGrowing(r.Context(), http.MaxBytesReader(c.Response(), r.Body, most), room)
	_ = connection.SetReadDeadline(time.Time{}) // it is read
	switch _, large := errors.AsType[*http.MaxBytesError](err); {
	case large:
		return nil, nil, errTooLarge(most)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil, postdate.Errorf(malformed, "", "the body did not come within %s", bodyTimeout)
	case postdate.CodeOf(err) == postdate.Unavailable:
		return nil, nil, err
	case err != nil:
		return nil, nil, postdate.Errorf(malformed, "", "the body did not come whole")
	case !packed || len(body) == 0:
		return body, body, nil
	}
	if err := room.take(r.Context(), most); err != nil {
		return nil, nil, err
	}
	content, err = unpack(body, most)
	return body, content, err
}

// readGrowing reads all of a body, into memory that grows as it comes.
func readGrowing(ctx context.Context, from io.Reader, room *bodyRoom) ([]byte, error) {
	var body []byte
	for {
		if len(body) == cap(body) {
			size := max(firstRead, 2*cap(body))
			if err := room.take(ctx, size-cap(body)); err != nil {
				return nil, err
			}
			grown := make([]byte, len(body), size)
			copy(grown, body)
			body = grown
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
