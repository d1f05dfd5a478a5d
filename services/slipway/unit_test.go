package slipway_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/services/slipway/setup"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

const unitFile = "../../deploy/systemd/slipway.service"

// exposure is the most that the unit may be open, in tenths of what systemd
// gives.
const exposure = "20"

func TestTheUnitIsRight(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		cannot(t, "systemd is not installed (.ci/setup does)")
	}
	text := mustRead(t, unitFile)
	program, err := exec.LookPath("slipway")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "slipway.service")
	servicetest.Write(t, file, strings.Replace(text, "/usr/local/bin/slipway", program, 1))
	for _, args := range [][]string{{"verify", file}, {"security", "--offline=true", "--threshold=" + exposure, file}} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// TestTheUnitAndInitMeanTheSame runs what the unit runs on a config that init
// has written for it, with the secrets where systemd would put them.
func TestTheUnitAndInitMeanTheSame(t *testing.T) {
	t.Parallel()
	unit := map[string]string{}
	for line := range strings.Lines(mustRead(t, unitFile)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			unit[name] = value
		}
	}
	var out syncBuffer
	args, ours := strings.CutPrefix(unit["ExecStart"], "/usr/local/bin/slipway ")
	if code := slipway.Main(append(strings.Fields(args), "--help"), nil, &out, &out); code != 0 || !ours {
		t.Errorf("%s: exit %d: %s", unit["ExecStart"], code, &out)
	}
	if unit["LoadCredential"] != "secrets:/etc/slipway/secrets" || setup.Credentials != "/run/credentials/slipway.service/secrets_" || unit["StateDirectory"] != "slipway" {
		t.Errorf("%v", unit)
	}
	token, secrets := filepath.Join(t.TempDir(), "git-token"), t.TempDir()
	inside := filepath.Join(secrets, "git-token")
	for _, file := range []string{token, inside} {
		servicetest.Write(t, file, "a token\n")
	}
	for file, want := range map[string]string{token: token, inside: setup.Credentials + "git-token"} {
		dir, says, code := initialized(t, "--systemd", "--secrets", secrets, "--git-token-file", file, "--registry-host", "ghcr.io", "--git-url", "https://github.com/acme/config.git")
		if code != 0 {
			t.Fatalf("exit %d: %s", code, says)
		}
		config := filepath.Join(dir, "slipway.yaml")
		text := mustRead(t, config)
		if !contains(text, `token: {file: "`+want+`"}`, `{file: "`+setup.Credentials+`registry"}`, `{file: "`+setup.Credentials+`git"}`) {
			t.Error(text)
		}
		// As systemd does.
		servicetest.Write(t, config, strings.ReplaceAll(text, setup.Credentials, secrets+string(os.PathSeparator)))
		if _, err := service.Load(config); err != nil {
			t.Error(err)
		}
	}
}
