// Command post-receive is the hook of the repositories that parts.StartGitHTTP serves:
// for each updated ref it posts what GitHub would, signed. A push never fails by it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const timeout = 2 * time.Second

func main() {
	if err := run(context.Background(), os.Stdin); err != nil {
		// Git shows this to who pushes.
		fmt.Fprintf(os.Stderr, "post-receive: %v\n", err)
	}
}

// settings are the repository's, under slipway.
type settings struct{ url, secret, cloneURL, fullName string }

// update is one line of what git tells the hook.
type update struct{ before, after, ref string }

// push is the part of GitHub's push event that receivers read.
type push struct {
	Ref        string     `json:"ref"`
	Before     string     `json:"before"`
	After      string     `json:"after"`
	Created    bool       `json:"created"`
	Deleted    bool       `json:"deleted"`
	Forced     bool       `json:"forced"`
	Repository repository `json:"repository"`
	Pusher     pusher     `json:"pusher"`
}

type repository struct {
	FullName string `json:"full_name"`
	CloneURL string `json:"clone_url"`
}

type pusher struct {
	Name string `json:"name"`
}

func run(ctx context.Context, in io.Reader) error {
	config, err := read(ctx)
	if err != nil || config.url == "" {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), " ", 3)
		if len(fields) != 3 {
			return fmt.Errorf("read the updated refs: %q", lines.Text())
		}
		if err := config.tell(ctx, update{before: fields[0], after: fields[1], ref: fields[2]}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// read asks git for all settings at once.
func read(ctx context.Context) (settings, error) {
	out, err := exec.CommandContext(ctx, "git", "config", "--null", "--get-regexp", `^slipway\.`).Output()
	if err != nil {
		return settings{}, fmt.Errorf("read the settings: %w", err)
	}
	values := map[string]string{}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		values[key] = value
	}
	return settings{
		url: values["slipway.hookurl"], secret: values["slipway.hooksecret"],
		cloneURL: values["slipway.cloneurl"], fullName: values["slipway.fullname"],
	}, nil
}

// tell posts one update, twice where the first fails.
func (s settings) tell(ctx context.Context, u update) error {
	name := os.Getenv("REMOTE_USER")
	if name == "" {
		name = "slipway"
	}
	event := push{
		Ref: u.ref, Before: u.before, After: u.after,
		Created: none(u.before), Deleted: none(u.after),
		Repository: repository{FullName: s.fullName, CloneURL: s.cloneURL},
		Pusher:     pusher{Name: name},
	}
	if !event.Created && !event.Deleted {
		event.Forced = exec.CommandContext(ctx, "git", "merge-base", "--is-ancestor", u.before, u.after).Run() != nil
	}
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode the push of %s: %w", u.ref, err)
	}
	delivery := uuid()
	if s.post(ctx, delivery, body) == nil {
		return nil
	}
	if err := s.post(ctx, delivery, body); err != nil {
		return fmt.Errorf("tell of %s: %w", u.ref, err)
	}
	return nil
}

func (s settings) post(ctx context.Context, delivery string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", delivery)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answered %s", s.url, resp.Status)
	}
	return nil
}

// none tells whether an object name stands for nothing, in either of git's hashes.
func none(object string) bool { return strings.Trim(object, "0") == "" }

// uuid draws a random one, version 4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
