package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/server"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
)

const (
	maria = "marias-token-0123456789abcdef"
	omar  = "omars-token-0123456789abcdef"
)

// applications is what Git has: one application of which only leads may say.
type applications struct {
	asked []promote.Request
	err   error
}

func (a *applications) Ask(_ context.Context, q promote.Request) error {
	if a.err == nil {
		a.asked = append(a.asked, q)
	}
	return a.err
}

func (*applications) May(_ context.Context, application, _, person string, _ []string) error {
	switch {
	case application != "production/shop/web":
		return promote.ErrRequest
	case person != "maria":
		return approval.ErrMayNot
	}
	return nil
}

func (*applications) Holds(context.Context) ([]promote.Held, error) {
	return []promote.Held{{Repository: "git.example.com/acme/config", HoldSpec: api.HoldSpec{Application: "production/shop/web", Image: "ghcr.io/acme/web", Tag: "1.2.0"}}}, nil
}

type bench struct {
	*applications
	t     *testing.T
	store *approval.Store
	http  *httptest.Server
	log   *bytes.Buffer
	id    string
}

func open(t *testing.T, issuers ...service.OIDCPersons) *bench {
	t.Helper()
	t.Setenv("MARIA", maria)
	t.Setenv("OMAR", omar)
	people, err := server.NewPeople(service.Automator{OIDC: issuers, People: []service.Person{
		{Name: "maria", Groups: []string{"leads"}, Token: service.Secret{Env: "MARIA"}}, {Name: "omar", Token: service.Secret{Env: "OMAR"}},
	}}, time.Now)
	must(t, err)
	b := &bench{applications: &applications{}, t: t, log: &bytes.Buffer{}}
	b.store, err = approval.OpenStore(t.Context(), bustest.Start(t), func(context.Context, string, string) error { return nil })
	must(t, err)
	p := approval.Open(approval.Binding{
		Application: "production/shop/web", Image: "ghcr.io/acme/web", From: "1.0.0", To: "1.1.0", Rule: "shop[0]", RuleHash: "h",
	}, "chain", "octocat", &api.Approvals{From: []string{"group:leads"}}, time.Now(), "")
	must(t, b.store.Propose(t.Context(), p))
	b.id = p.ID
	s := &server.Server{People: people, Proposals: b.store, Applications: b.applications, Log: slog.New(slog.NewJSONHandler(b.log, nil)), Now: time.Now}
	b.http = httptest.NewServer(s.Handler())
	t.Cleanup(b.http.Close)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) call(method, path, token, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.http.URL+path, strings.NewReader(body))
	must(b.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	if kind := res.Header.Get("Content-Type"); res.StatusCode >= 400 && kind != "application/problem+json" && res.StatusCode != http.StatusMethodNotAllowed {
		b.t.Errorf("%s %s is answered %d as %s", method, path, res.StatusCode, kind)
	}
	if strings.Contains(string(text), maria) || strings.Contains(b.log.String(), maria) {
		b.t.Errorf("a token is told: %s %s", text, b.log)
	}
	return res.StatusCode, string(text)
}

func TestPeopleVoteListAndAsk(t *testing.T) {
	b := open(t)
	status, text := b.call(http.MethodGet, "/v1/approvals", omar, "")
	var list []struct {
		ID, Application, To, State string
		Needed                     int
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != http.StatusOK || len(list) != 1 || list[0].ID != b.id || list[0].State != "open" || list[0].Needed != 1 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := b.call(http.MethodPost, "/v1/approvals/"+b.id[:8]+"/votes", maria, `{"decision":"approved","comment":"seen"}`); status != http.StatusOK || !strings.Contains(text, `"approvers":["maria"]`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := b.call(http.MethodGet, "/v1/holds", omar, ""); status != http.StatusOK || !strings.Contains(text, `"tag":"1.2.0"`) {
		t.Errorf("%d %s", status, text)
	}
	status, text = b.call(http.MethodPost, "/v1/requests", maria, `{"kind":"rollback","application":"production/shop/web","reason":"5xx"}`)
	if status != http.StatusAccepted || len(b.asked) != 1 || !strings.Contains(text, b.asked[0].ID) || b.asked[0].By != "maria" {
		t.Errorf("%d %s: %+v", status, text, b.asked)
	}
}

func TestWhatIsNotAllowedIsRefusedAndDoesNothing(t *testing.T) {
	b := open(t)
	vote := "/v1/approvals/" + b.id + "/votes"
	for name, c := range map[string]struct {
		method, path, token, body string
		want                      int
	}{
		"no token":                     {"GET", "/v1/approvals", "", "", 401},
		"a forged token":               {"POST", vote, maria + "0", `{"decision":"approved"}`, 401},
		"a token cut short":            {"POST", vote, maria[:20], `{"decision":"approved"}`, 401},
		"no token for nothing":         {"GET", "/v1/nothing", "", "", 404},
		"nothing":                      {"GET", "/v1/nothing", maria, "", 404},
		"an unknown proposal":          {"POST", "/v1/approvals/ffffffff/votes", maria, `{"decision":"approved"}`, 404},
		"a person of another group":    {"POST", vote, omar, `{"decision":"approved"}`, 403},
		"somebody else's vote":         {"POST", vote, omar, `{"decision":"approved","person":"maria"}`, 400},
		"no decision":                  {"POST", vote, maria, `{}`, 400},
		"no JSON":                      {"POST", vote, maria, `approved`, 400},
		"two objects":                  {"POST", vote, maria, `{"decision":"approved"}{}`, 400},
		"too much":                     {"POST", vote, maria, `{"comment":"` + strings.Repeat("x", 70_000) + `"}`, 400},
		"another state":                {"GET", "/v1/approvals?state=odd", maria, "", 400},
		"a request without a say":      {"POST", "/v1/requests", omar, `{"kind":"rollback","application":"production/shop/web"}`, 403},
		"a request of nothing":         {"POST", "/v1/requests", maria, `{"kind":"rollback","application":"production/shop/api"}`, 400},
		"a request that names another": {"POST", "/v1/requests", maria, `{"kind":"rollback","application":"production/shop/web","by":"omar"}`, 400},
		"a hold of nothing":            {"POST", "/v1/requests", maria, `{"kind":"hold","application":"production/shop/web","image":"ghcr.io/acme/web"}`, 400},
		"another method":               {"DELETE", "/v1/holds", maria, "", 404},
	} {
		if status, text := b.call(c.method, c.path, c.token, c.body); status != c.want {
			t.Errorf("%s is answered %d %s, want %d", name, status, text, c.want)
		}
	}
	if p, _ := b.store.Find(b.id); len(p.Votes) != 0 || len(b.asked) != 0 {
		t.Errorf("votes %+v, requests %+v", p.Votes, b.asked)
	}
	b.err = errors.New("nats://inner is away")
	if status, text := b.call("POST", "/v1/requests", maria, `{"kind":"rollback","application":"production/shop/web"}`); status != 503 || strings.Contains(text, "inner") {
		t.Errorf("%d %s", status, text)
	}
	b.err = nil
	must(t, b.store.Close(t.Context(), first(b.store), "cancelled", "another came", time.Now()))
	if status, text := b.call("POST", vote, maria, `{"decision":"approved"}`); status != 409 || !strings.Contains(text, "another came") {
		t.Errorf("a late vote: %d %s", status, text)
	}
}

func first(s *approval.Store) approval.Proposal { return s.All()[0] }
