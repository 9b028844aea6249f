package apiserver

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

const (
	// maxBody bounds a request's body, in bytes: unpacked, if it is packed.
	maxBody = 256 << 10
	// maxBatchBody bounds a batch of schedules, each of which has at most maxBody.
	maxBatchBody = 4 << 20
	// gzipOverhead is more than gzip adds to a body of maxBatchBody that it cannot pack.
	gzipOverhead = 4 << 10
)

// byteOrderMark may precede JSON, and is ignored (RFC 8259 §8.1).
const byteOrderMark = "\ufeff"

// mediaOf is the media type of the request's body in lower case, or "" without one. Its
// parameters do not matter: JSON is UTF-8.
func mediaOf(c echo.Context) string {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return media
}

// hasBody reports whether r has a body, where that is optional.
func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 || r.Header.Get(echo.HeaderContentType) != ""
}

// readBody reads a body of at most maxBody.
func readBody(c echo.Context) ([]byte, error) { return readBodyOf(c, maxBody) }

// readBodyOf reads a body of at most so many bytes, unpacked.
func readBodyOf(c echo.Context, most int) ([]byte, error) {
	r := c.Request()
	packed, err := isPacked(c)
	if err != nil {
		return nil, err
	}
	limit := int64(most)
	if packed {
		limit += gzipOverhead
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge(most)
	}
	if err != nil {
		return nil, postdate.Errorf(malformed, "", "the body cannot be read: %s", err)
	}
	size := len(body)
	if packed {
		size = maxBody
	}
	if err := takeRoom(c, size); err != nil {
		return nil, err
	}
	if packed && len(body) > 0 {
		if body, err = unpack(body, most); err != nil {
			return nil, err
		}
	}
	return bytes.TrimPrefix(body, []byte(byteOrderMark)), nil
}

// errTooLarge refuses what has more than so many bytes.
func errTooLarge(most int) error {
	return postdate.Errorf(tooLarge, "", "a body has at most %d KiB", most>>10)
}

// isPacked reports whether the body is packed by gzip. Other codings are refused.
func isPacked(c echo.Context) (bool, error) {
	coding := strings.ToLower(strings.Join(c.Request().Header.Values(echo.HeaderContentEncoding), ", "))
	switch coding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip": // the same, by RFC 9110 §8.4.1.3
		return true, nil
	default:
		c.Response().Header().Set(echo.HeaderAcceptEncoding, "gzip")
		return false, postdate.Errorf(unsupportedMediaType, "", "a body may be packed by gzip alone: Content-Encoding %q is not taken", coding)
	}
}

// unpack unpacks no more than most bytes, however much packed stands for.
func unpack(packed []byte, most int) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, postdate.Errorf(malformed, "", "the body is not gzip, as Content-Encoding says: %s", err)
	}
	body, err := io.ReadAll(io.LimitReader(reader, int64(most)+1))
	switch {
	case err != nil:
		return nil, postdate.Errorf(malformed, "", "the body cannot be unpacked: %s", err)
	case len(body) > most:
		return nil, errTooLarge(most)
	}
	return body, nil
}

// setBody makes body, which is JSON, the request's.
func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}
