package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/oidc/oidctest"
)

// patience is how long a script waits for something to become true.
const patience = 90 * time.Second

// TestScripts runs testdata/script: each script has a world of its own, on
// real parts. `want REGEX CMD…` waits until the command's output matches.
func TestScripts(t *testing.T) {
	if err := parts.Build(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	bin := programs(t)
	issuer := oidctest.Start(t, false)
	li := map[string]any{"email": "li@example.com", "sub": "li", "groups": []string{"leads"}}
	tokens := map[string]string{
		"maria": local.MariasToken, "omar": local.OmarsToken, "li": issuer.Token(t, li),
		"mallory": oidctest.NewKey(t, issuer.Key.ID, issuer.Key.Alg).Sign(t, nil, issuer.Claims(time.Now(), li)),
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			s := &scriptWorld{bin: bin, issuer: issuer.URL, tokens: tokens, dir: filepath.Join(env.WorkDir, ".world")}
			env.Values[worldKey{}] = s
			env.Defer(s.stop)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"world": cmdWorld, "ready": cmdReady, "push": cmdPush, "together": cmdTogether, "want": cmdWant,
			"commit": cmdCommit, "revert": cmdRevert, "merge": cmdMerge, "protect": cmdProtect, "sign": cmdSign, "until": cmdUntil, "replace": cmdReplace, "post": cmdPost, "slipway": cmdSlipway, "registry": cmdRegistry, "chart": cmdChart, "base": cmdBase,
		},
		Condition: nil,
	})
}

type worldKey struct{}

type scriptWorld struct {
	bin, dir, issuer string
	tokens           map[string]string // of people, by name
	w                *local.World
	clone            *local.Clone
	key              *ecdsa.PrivateKey // signs images
	charts           *parts.ChartRepository
	bases            *farBases
}

func (s *scriptWorld) stop() {
	if s.charts != nil {
		s.charts.Stop()
	}
	if s.bases != nil {
		_ = s.bases.git.Stop()
	}
	if s.w != nil {
		s.w.Stop()
	}
}

func world(ts *testscript.TestScript) *scriptWorld {
	return ts.Value(worldKey{}).(*scriptWorld)
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// cmdWorld starts a world and applies its root Application:
// world [gitea] [quiet=DURATION].
func cmdWorld(ts *testscript.TestScript, _ bool, args []string) {
	s := world(ts)
	o := local.Options{Dir: s.dir, Bin: s.bin, Issuer: s.issuer}
	for _, a := range args {
		quiet, isQuiet := strings.CutPrefix(a, "quiet=")
		switch {
		case a == "gitea":
			o.Gitea = true
		case isQuiet:
			d, err := time.ParseDuration(quiet)
			check(ts, err)
			o.Quiet = d
		default:
			ts.Fatalf("world: unknown option %s", a)
		}
	}
	ctx := context.Background()
	var err error
	s.w, err = local.Start(ctx, o)
	check(ts, err)
	check(ts, s.w.Ready(ctx))
	check(ts, s.w.Bootstrap(ctx))
	s.clone, err = s.w.Clone(ctx, "maria")
	check(ts, err)
	ts.Setenv("REGISTRY", s.w.Registry.Addr)
	ts.Setenv("REPO", s.w.RepoURL)
	ts.Setenv("CLONE", s.clone.Dir)
	ts.Setenv("HOOKS", s.w.HooksURL)
	ts.Setenv("CONFIG", s.w.Config)
	ts.Setenv("DATA", filepath.Join(s.dir, "data"))
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(ts, err)
	public, err := x509.MarshalPKIXPublicKey(s.key.Public())
	check(ts, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	ts.Setenv("COSIGN_KEY", string(text))
	ts.Setenv("COSIGN_KEY_BASE64", base64.StdEncoding.EncodeToString(text))
}

// cmdSign signs the image, or the chart, that was pushed last, by the key whose public half is
// COSIGN_KEY: sign shop/web.
func cmdSign(ts *testscript.TestScript, _ bool, args []string) {
	s := world(ts)
	check(ts, parts.SignImage(context.Background(), s.w.Registry.Addr, args[0], ts.Getenv("DIGEST"), s.key))
}

// cmdUntil sets CRON and LASTS to those of a window that is open now and ends
// after so many seconds: until 5.
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	left, err := strconv.Atoi(args[0])
	check(ts, err)
	end := time.Now().UTC().Add(time.Duration(left) * time.Second)
	begin := time.Now().UTC().Add(-time.Minute).Truncate(time.Minute)
	ts.Setenv("CRON", fmt.Sprintf("%d %d %d %d *", begin.Minute(), begin.Hour(), begin.Day(), begin.Month()))
	ts.Setenv("LASTS", end.Sub(begin).Round(time.Second).String())
}

// cmdReady waits until that many of the shop's applications are ready.
func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	check(ts, err)
	check(ts, world(ts).w.AllReady(context.Background(), n, nil))
}

// cmdPush pushes a new image: push shop/web 1.1.0.
func cmdPush(ts *testscript.TestScript, _ bool, args []string) {
	digest, err := world(ts).w.Push(context.Background(), args[0], args[1])
	check(ts, err)
	ts.Setenv("DIGEST", digest)
}

// cmdTogether pushes several images at the same time: together
// shop/web:1.1.0 shop/api:1.1.0.
func cmdTogether(ts *testscript.TestScript, _ bool, args []string) {
	failed := make(chan error, len(args))
	for _, a := range args {
		repo, tag, _ := strings.Cut(a, ":")
		go func() {
			_, err := world(ts).w.Push(context.Background(), repo, tag)
			failed <- err
		}()
	}
	for range args {
		check(ts, <-failed)
	}
}

// cmdCommit pushes what a person changed, on top of what others pushed:
// commit MESSAGE FILE=CONTENT_FILE… FILE= (deletes).
func cmdCommit(ts *testscript.TestScript, _ bool, args []string) {
	ctx, s := context.Background(), world(ts)
	check(ts, s.clone.Pull(ctx))
	files := map[string]string{}
	for _, a := range args[1:] {
		name, from, _ := strings.Cut(a, "=")
		files[name] = ""
		if from != "" {
			files[name] = os.Expand(ts.ReadFile(from), ts.Getenv)
		}
	}
	check(ts, s.clone.Commit(ctx, args[0], files))
	check(ts, s.clone.Push(ctx))
	commit, err := s.clone.Git(ctx, "rev-parse", "HEAD")
	check(ts, err)
	ts.Setenv("COMMIT", commit)
}

// cmdRevert takes back the last commit, as a person does.
func cmdRevert(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, s := context.Background(), world(ts)
	check(ts, s.clone.Pull(ctx))
	_, err := s.clone.Git(ctx, "revert", "--no-edit", "HEAD")
	check(ts, err)
	check(ts, s.clone.Push(ctx))
}

// cmdMerge merges a pull request on the Gitea, as a person does: merge NUMBER.
func cmdMerge(ts *testscript.TestScript, _ bool, args []string) {
	gitea := world(ts).w.Gitea
	path := fmt.Sprintf("/repos/%s/%s/pulls/%s/merge", gitea.User, local.Repo, args[0])
	// Gitea must have tried the merge before it does it.
	check(ts, parts.Eventually(context.Background(), patience, func() error {
		return gitea.API(context.Background(), http.MethodPost, path, map[string]any{"Do": "merge"}, nil)
	}))
}

// cmdProtect has the Gitea take no pushes to main, but merges.
func cmdProtect(ts *testscript.TestScript, _ bool, _ []string) {
	gitea := world(ts).w.Gitea
	check(ts, gitea.API(context.Background(), http.MethodPost, fmt.Sprintf("/repos/%s/%s/branch_protections", gitea.User, local.Repo),
		map[string]any{"rule_name": "main", "enable_push": false}, nil))
}

// cmdReplace replaces a text by another in a file: replace FILE OLD NEW.
func cmdReplace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q:\n%s", args[0], args[1], text)
	}
	check(ts, os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// cmdWant waits until a command's output matches (with !: no longer matches).
// The output is then in the file out.
func cmdWant(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[0])
	check(ts, err)
	s, out := world(ts), ""
	err = parts.Eventually(context.Background(), patience, func() error {
		var err error
		out, err = s.run(ts, args[1], args[2:])
		if re.MatchString(out) == neg {
			return errors.Join(err, errors.New("it prints:\n"+out))
		}
		return nil
	})
	if err != nil {
		tail := ""
		if s.w != nil {
			tail = "\n--- slipway's log:\n" + s.w.Process("slipway").Tail(20)
		}
		ts.Fatalf("want %q: %v%s", args[0], err, tail)
	}
	ts.Setenv("MATCH", submatch(re, out))
	check(ts, os.WriteFile(ts.MkAbs("out"), []byte(out), 0o644))
}

// submatch is the first group of a match, for later lines of the script.
func submatch(re *regexp.Regexp, out string) string {
	if m := re.FindStringSubmatch(out); len(m) > 1 {
		return m[1]
	}
	return ""
}

func (s *scriptWorld) run(ts *testscript.TestScript, name string, args []string) (string, error) {
	ctx := context.Background()
	switch name {
	case "kubectl":
		return s.w.Kubectl(ctx, "", args...)
	case "git":
		if _, err := s.clone.Git(ctx, "fetch", "-q", "origin"); err != nil {
			return "", err
		}
		return s.clone.Git(ctx, args...)
	case "trace":
		cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "slipway"), append([]string{"trace", "--config", s.w.Config}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	case "maria", "omar", "li", "mallory":
		cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "slipway"), args...)
		cmd.Env = append(os.Environ(), "SLIPWAY_API="+s.w.APIURL, "SLIPWAY_TOKEN="+s.tokens[name])
		if name == "li" { // whose token is made by a command
			cmd.Env = append(os.Environ(), "SLIPWAY_API="+s.w.APIURL, "SLIPWAY_TOKEN_COMMAND=echo "+s.tokens[name])
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	case "cli":
		cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "slipway"), args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+s.w.Kubeconfig)
		out, err := cmd.CombinedOutput()
		return string(out), err
	case "log":
		return s.w.Process("slipway").Log(), nil
	case "metrics":
		return get(ctx, s.w.MetricsURL+"/metrics")
	}
	ts.Fatalf("want: unknown command %s", name)
	return "", nil
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// cmdPost posts a file to a webhook and wants a status: post PATH STATUS FILE
// 'Header: value'…. The answer is in the file out.
func cmdPost(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodPost, world(ts).w.HooksURL+args[0], bytes.NewReader([]byte(ts.ReadFile(args[2]))))
	check(ts, err)
	for _, h := range args[3:] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	check(ts, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(ts, err)
	check(ts, os.WriteFile(ts.MkAbs("out"), body, 0o644))
	if fmt.Sprint(res.StatusCode) != args[1] {
		ts.Fatalf("%s answered %s, want %s: %s", args[0], res.Status, args[1], body)
	}
}

// cmdSlipway ends and starts the services: slipway stop|kill|start.
func cmdSlipway(ts *testscript.TestScript, _ bool, args []string) {
	p := world(ts).w.Process("slipway")
	switch args[0] {
	case "stop":
		check(ts, p.Stop())
	case "kill":
		p.Kill()
	case "start":
		check(ts, p.Start())
		check(ts, world(ts).w.Ready(context.Background()))
	case "backup", "restore":
		w := world(ts)
		check(ts, ts.Exec(filepath.Join(w.bin, "slipway"), append([]string{args[0], "--config", w.w.Config}, args[1:]...)...))
	default:
		ts.Fatalf("slipway: unknown %s", args[0])
	}
}

// cmdRegistry ends and starts the registry, which forgets its notifications:
// registry kill|start.
func cmdRegistry(ts *testscript.TestScript, _ bool, args []string) {
	w := world(ts).w
	switch args[0] {
	case "kill":
		w.Registry.Kill()
	case "start":
		check(ts, w.RestartRegistry(context.Background()))
	default:
		ts.Fatalf("registry: unknown %s", args[0])
	}
}
