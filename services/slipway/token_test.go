package slipway_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway"
)

// TestAPersonGivesATokenByVariableOrCommand sees what the API is sent.
func TestAPersonGivesATokenByVariableOrCommand(t *testing.T) {
	var got []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Values("Authorization")
		_, _ = w.Write([]byte("[]"))
	}))
	defer api.Close()
	script := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"of $1\" >&2\necho by-script\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		code int
		want string // the token, else a part of the error
	}{
		"a variable":               {map[string]string{"SLIPWAY_TOKEN": "x.y.z"}, nil, 0, "x.y.z"},
		"another variable":         {map[string]string{"MINE": "x.y.z", "SLIPWAY_TOKEN": "a"}, []string{"--token-env", "MINE"}, 0, "x.y.z"},
		"a command":                {map[string]string{"SLIPWAY_TOKEN": "a"}, []string{"--token-command", script + " me"}, 0, "by-script"},
		"a command by variable":    {map[string]string{"SLIPWAY_TOKEN_COMMAND": "printf ' x.y.z\r\n'"}, nil, 0, "x.y.z"},
		"a variable goes before":   {map[string]string{"SLIPWAY_TOKEN": "a", "SLIPWAY_TOKEN_COMMAND": "echo b"}, nil, 0, "a"},
		"an empty one doesn't":     {map[string]string{"SLIPWAY_TOKEN": "", "SLIPWAY_TOKEN_COMMAND": "echo b"}, nil, 0, "b"},
		"a named one stays":        {map[string]string{"SLIPWAY_TOKEN_COMMAND": "echo b"}, []string{"--token-env", "MINE"}, 2, "MINE is empty"},
		"neither":                  {nil, nil, 2, "SLIPWAY_TOKEN is empty"},
		"both":                     {nil, []string{"--token-env", "MINE", "--token-command", "echo b"}, 2, "either"},
		"a command that fails":     {nil, []string{"--token-command", "echo secret-part; exit 3"}, 1, "exit status 3"},
		"a command without output": {nil, []string{"--token-command", "true"}, 1, "prints nothing"},
		"two lines":                {nil, []string{"--token-command", "echo secret-part; echo b"}, 1, "something else than one token"},
		"no end":                   {nil, []string{"--token-command", "while :; do echo secret-part; done"}, 1, "your token"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, clear := range []string{"SLIPWAY_TOKEN", "SLIPWAY_TOKEN_COMMAND", "MINE"} {
				t.Setenv(clear, "")
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			got = nil
			var out, errs bytes.Buffer
			code := slipway.Main(append([]string{"get", "approvals", "--api", api.URL}, c.args...), strings.NewReader(""), &out, &errs)
			sent := strings.TrimPrefix(strings.Join(got, ","), "Bearer ")
			if code != c.code || (code == 0 && sent != c.want) || (code != 0 && (sent != "" || !strings.Contains(errs.String(), c.want))) {
				t.Errorf("exit %d, sent %q: %s", code, sent, &errs)
			}
			if strings.Contains(errs.String(), "secret-part") && !strings.Contains(errs.String(), "echo secret-part") {
				t.Errorf("what the command printed is told: %s", &errs)
			}
		})
	}
}
