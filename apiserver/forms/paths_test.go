package forms

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// escaped is text with each of its bytes percent-encoded.
func escaped(text string) string {
	var all strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&all, "%%%02X", text[i])
	}
	return all.String()
}

func TestPaths_AreMeasuredAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	longest := strings.Repeat("e", 128)
	for _, id := range []string{longest + "." + longest, "a:b.ep_1", longest} {
		for _, path := range []string{id, escaped(id)} {
			d.do(http.MethodGet, "/v1/deliveries/"+path, "").refused(http.StatusNotFound, "")
			d.post("/v1/deliveries/"+path+"/retry", "").refused(http.StatusNotFound, "")
		}
	}
	for _, path := range []string{longest, escaped(longest), escaped("a:b")} {
		d.do(http.MethodGet, "/v1/schedules/"+path, "").refused(http.StatusNotFound, "")
		d.do(http.MethodGet, "/v1/events/"+path, "").refused(http.StatusNotFound, "")
		d.do(http.MethodGet, "/v1/endpoints/"+path, "").refused(http.StatusNotFound, "")
	}
	for _, path := range []string{longest + "e", escaped(longest + "e"), escaped("a/b"), "%25", "a%2561", "a%FF", "%00", "a+b"} {
		for _, of := range []string{"/v1/deliveries/", "/v1/schedules/", "/v1/events/", "/v1/endpoints/"} {
			d.do(http.MethodGet, of+path, "").refused(http.StatusUnprocessableEntity, "/id")
		}
	}
	d.do(http.MethodGet, "/v1/deliveries/"+escaped(longest+"."+longest+"."+longest), "").refused(http.StatusUnprocessableEntity, "/id")
}
