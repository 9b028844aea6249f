//go:build integration

package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// browser is a headless Chromium, spoken to over a pipe by its own protocol.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	id      int
	session string
}

// openBrowser opens url. Chromium is installed by scripts/test-integration.
func openBrowser(t *testing.T, url string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	require.NoError(t, err, "run this by make test-integration, which installs chromium")
	in, to, err := os.Pipe()
	require.NoError(t, err)
	from, out, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "--window-size=1180,1010", "about:blank")
	cmd.ExtraFiles = []*os.File{in, out} // which it knows as 3 and 4
	require.NoError(t, cmd.Start())
	require.NoError(t, in.Close())
	require.NoError(t, out.Close())
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil)
		_ = cmd.Wait()
		_ = to.Close()
		_ = from.Close()
	})
	target := b.call("Target.createTarget", map[string]any{"url": url})
	b.session = b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})["sessionId"].(string)
	return b
}

// call calls a method, and waits for its result.
func (b *browser) call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.id++
	request := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		request["params"] = map[string]any{}
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	require.NoError(b.t, err)
	_, err = b.to.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		line, err := b.from.ReadBytes(0)
		require.NoError(b.t, err)
		var answer struct {
			ID     int            `json:"id"`
			Result map[string]any `json:"result"`
			Error  any            `json:"error"`
		}
		require.NoError(b.t, json.Unmarshal(line[:len(line)-1], &answer))
		if answer.ID == b.id {
			require.Nil(b.t, answer.Error, method)
			return answer.Result
		}
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	answer := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})
	require.Nil(b.t, answer["exceptionDetails"], expression)
	result := answer["result"].(map[string]any)
	return result["value"]
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	eventually.True(b.t, func() bool { return b.eval(expression) == true }, expression)
}

func (b *browser) count(id string) int {
	b.t.Helper()
	var n int
	_, err := fmt.Sscan(fmt.Sprint(b.eval(`document.getElementById("`+id+`").textContent`)), &n)
	require.NoError(b.t, err)
	return n
}

// screenshot is what the page looks like, as a PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	png, err := base64.StdEncoding.DecodeString(b.call("Page.captureScreenshot", nil)["data"].(string))
	require.NoError(b.t, err)
	return png
}
