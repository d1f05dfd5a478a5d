package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gitee is Gitee: the password itself, or a signature of time stamp and
// secret, which doesn't cover the body: so the time stamp may be five minutes
// off, no more.
var gitee = webhook.Provider{
	Name:    "gitee",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return giteeProof(r, secrets, webhook.Now())
	},
	Sign:  signGitee,
	Parse: parseGitee,
	Setup: webhook.Setup{
		Where:  "Repository → Management → WebHooks → Add; URL /hooks/{source}.",
		Events: "Push and Tag push.",
		Secret: "Signature key (preferred) or password: the source's secret.",
		Tried:  webhook.Captured,
	},
}

const giteeTolerance = 5 * time.Minute

// signGitee signs time stamp and secret, and not the body, as Gitee does.
func signGitee(h http.Header, _ []byte, secret string, now time.Time) {
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "\n" + secret))
	h.Set("X-Gitee-Timestamp", stamp)
	h.Set("X-Gitee-Token", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func giteeProof(r webhook.Request, secrets []string, now time.Time) error {
	stamp := r.Header.Get("X-Gitee-Timestamp")
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: header X-Gitee-Timestamp is missing, or no number", webhook.ErrProof)
	}
	if age := now.Sub(time.UnixMilli(ms)); age.Abs() > giteeTolerance {
		return fmt.Errorf("%w: header X-Gitee-Timestamp is %s", webhook.ErrProof, webhook.Apart(age))
	}
	tokens := r.Header.Values("X-Gitee-Token")
	if len(tokens) != 1 {
		return fmt.Errorf("%w: header X-Gitee-Token is there %d times, not once", webhook.ErrProof, len(tokens))
	}
	if webhook.FixedHeader(r.Header, "X-Gitee-Token", secrets) == nil {
		return nil
	}
	token := tokens[0]
	if plain, err := url.PathUnescape(token); err == nil {
		token = plain // some versions escape it, as for an address
	}
	given, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return fmt.Errorf("%w: header X-Gitee-Token is another", webhook.ErrProof)
	}
	fits := 0
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "\n" + secret))
		fits |= subtle.ConstantTimeCompare(mac.Sum(nil), given)
	}
	if fits == 0 {
		return fmt.Errorf("%w: header X-Gitee-Token is another", webhook.ErrProof)
	}
	return nil
}

func parseGitee(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		HookName  string       `json:"hook_name"`
		Ref       string       `json:"ref"`
		Before    string       `json:"before"`
		After     string       `json:"after"`
		Forced    bool         `json:"forced"`
		Timestamp webhook.Time `json:"timestamp"`
		Project   *struct {
			URL string `json:"git_http_url"`
		} `json:"project"`
		Repository *struct {
			URL string `json:"git_http_url"`
		} `json:"repository"`
		Pusher struct {
			Username string `json:"username"`
		} `json:"pusher"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	if !slices.Contains([]string{"push_hooks", "tag_push_hooks"}, b.HookName) {
		if b.HookName == "" {
			return d, fmt.Errorf("%w: hook_name is missing", webhook.ErrBody)
		}
		d.Ignore("event is neither a push nor a tag push")
		return d, nil
	}
	address := ""
	switch {
	case b.Project != nil:
		address = b.Project.URL
	case b.Repository != nil:
		address = b.Repository.URL
	}
	if address == "" || b.Ref == "" {
		return d, fmt.Errorf("%w: ref or project.git_http_url is missing", webhook.ErrBody)
	}
	moved{
		provider: "gitee", repository: address, ref: b.Ref, before: b.Before, after: b.After,
		forced: b.Forced, pusher: b.Pusher.Username, at: b.Timestamp.Time,
	}.add(&d, s)
	return d, nil
}
