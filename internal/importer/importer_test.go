package importer_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/importer"
)

func read(t *testing.T, text, format string) (lines []string) {
	t.Helper()
	source, err := importer.Open(strings.NewReader(text), format)
	require.NoError(t, err)
	for {
		line, err := source.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("%d %s %s", line.Number, line.Text, line.Reject))
	}
}

func TestNDJSON_CountsAllLinesAndReadsThoseThatAreNotBlank(t *testing.T) {
	t.Parallel()
	want := []string{`2 {"a":1} `, `4 {"b":2} `}
	text := "\ufeff\r\n{\"a\":1}\r\n \n{\"b\":2}"
	require.Equal(t, want, read(t, text, importer.NDJSON))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, want, read(t, packed.String(), importer.NDJSON))
	require.Empty(t, read(t, "", importer.NDJSON))
	require.Equal(t, []string{"1  has more than 256 KiB", "2 {} "}, read(t, strings.Repeat("x", 3<<20)+"\n{}", importer.NDJSON))
}

func TestCSV_MakesSchedulesOfItsColumns(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		`2 {"data":{"amount":12.50,"customer":{"id":"007"},"note":"two\nlines, one \"cell\"","paid":true,"tags":["a"]},"id":"x","to":{"url":"https://b.example"},"type":"t"} `,
		`4 {"type":"u"} `,
		`5 ["x","t","1","2"] has 4 fields, and the header 8`,
		`6 ["y","t","","","1,5","","",""] data.amount: "1,5" is no number: write it as JSON does`,
		`7  line 7, column 2: bare " in non-quoted-field`,
		`8 {"type":"v"} `,
	}, read(t, "\ufeffid,type,to.url,data.customer.id,data.amount:number,data.paid:bool,data.tags:json,data.note\r\n"+
		`x,t,https://b.example,007,12.50,TRUE,"[""a""]","two`+"\n"+`lines, one ""cell"""`+"\n"+
		",u,,,,,,\nx,t,1,2\ny,t,,,\"1,5\",,,\na\"b,,,,,,,\n,v,,,,,,\n", importer.CSV))
	for header, reason := range map[string]string{
		"": "header", "type,typ": "no field", "type,data.x:date": "no kind", "type,type": "twice", "data,data.x": "twice", "type,": "without a name", "data..x": "empty part",
	} {
		_, err := importer.Open(strings.NewReader(header), importer.CSV)
		require.ErrorContains(t, err, reason, header)
	}
}

// flaky takes imports, and breaks each off after some lines, without an answer to the last.
type flaky struct {
	mu    sync.Mutex
	taken map[int]string // by line
	calls int
	most  int
	busy  bool // it answers 503 to the first line of each second connection
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	connection := http.NewResponseController(w)
	_ = connection.EnableFullDuplex()
	number, answered := 0, 0
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		number++
		if lines.Text() == "" {
			continue
		}
		status := http.StatusOK
		switch {
		case f.busy && f.calls%2 == 0 && answered == 0:
			status = http.StatusServiceUnavailable
		case f.taken[number] == "":
			status, f.taken[number] = http.StatusCreated, lines.Text()
		}
		answered++
		if answered > f.most {
			panic(http.ErrAbortHandler) // it is taken, and not answered
		}
		fmt.Fprintf(w, "{\"line\":%d,\"status\":%d}\n", number, status)
		_ = connection.Flush()
	}
}

func TestRun_GoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	for name, api := range map[string]*flaky{
		"a connection that breaks":   {most: 40, taken: make(map[int]string)},
		"an API that is busy":        {most: 40, busy: true, taken: make(map[int]string)},
		"a connection without fault": {most: 1000, taken: make(map[int]string)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			const n = 120
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "{\"n\":%d}\n\n", i)
			}
			source, err := importer.Open(strings.NewReader(text.String()), importer.NDJSON)
			require.NoError(t, err)
			answered := make(map[int]int)
			require.NoError(t, importer.Run(t.Context(), importer.Config{
				URL: server.URL, GiveUp: time.Minute,
				Answered: func(line importer.Line, _ importer.Result) error { answered[line.Number]++; return nil },
			}, source))
			require.Len(t, answered, n, "each line is answered")
			for line, times := range answered {
				require.Equal(t, 1, times, "line %d", line)
				require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, line/2), api.taken[line], "each has its own number")
			}
		})
	}
}

func TestRun_EndsWhereTryingAgainIsOfNoUse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"detail": "this key is not known"})
	}))
	t.Cleanup(server.Close)
	send := func(config importer.Config) error {
		t.Helper()
		source, err := importer.Open(strings.NewReader("{}\n"), importer.NDJSON)
		require.NoError(t, err)
		return importer.Run(t.Context(), config, source)
	}
	require.ErrorContains(t, send(importer.Config{URL: server.URL, GiveUp: time.Minute}), "this key is not known")
	require.ErrorContains(t, send(importer.Config{URL: "http://127.0.0.1:1", GiveUp: 0}), "nothing was answered")
}
