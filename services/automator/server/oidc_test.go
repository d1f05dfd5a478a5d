package server_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/server"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/oidc/oidctest"
	"github.com/slipway-cd/slipway/shared/service"
)

// takes is an issuer in the config.
func takes(s *oidctest.Issuer, change func(*service.OIDCPersons)) service.OIDCPersons {
	o := service.OIDCPersons{Issuer: s.URL, Audience: "slipway", NamePrefix: new(""), GroupsPrefix: new("")}
	if change != nil {
		change(&o)
	}
	return o
}

// ask sends the headers given, and gives status, body and Retry-After.
func (b *bench) ask(method, path, body string, authorization ...string) (status int, text, after string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.http.URL+path, strings.NewReader(body))
	must(b.t, err)
	for _, a := range authorization {
		req.Header.Add("Authorization", a)
	}
	res, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	must(b.t, err)
	for _, a := range authorization {
		for part := range strings.SplitSeq(strings.TrimPrefix(a, "Bearer "), ".") {
			if len(part) > 12 && (strings.Contains(string(answer), part) || strings.Contains(b.log.String(), part)) {
				b.t.Errorf("a token is told: %s %s", answer, b.log)
			}
		}
	}
	return res.StatusCode, string(answer), res.Header.Get("Retry-After")
}

// approve votes for the bench's proposal.
func (b *bench) approve(token string) (int, string) {
	b.t.Helper()
	status, text, _ := b.ask(http.MethodPost, "/v1/approvals/"+b.id+"/votes", `{"decision":"approved"}`, "Bearer "+token)
	return status, text
}

// propose opens another proposal in place of the bench's.
func (b *bench) propose(to string, rule *api.Approvals) {
	b.t.Helper()
	p := approval.Open(approval.Binding{
		Application: "production/shop/web", Image: "ghcr.io/acme/web", From: "1.0.0", To: to, Rule: "shop[0]", RuleHash: "h",
	}, "chain", "octocat", rule, time.Now(), "")
	must(b.t, b.store.Propose(b.t.Context(), p))
	b.id = p.ID
}

func TestAPersonWhomAnIssuerKnowsApproves(t *testing.T) {
	s := oidctest.Start(t, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	b := open(t, takes(s, func(o *service.OIDCPersons) { o.CA = &service.Secret{File: ca} }))
	if status, text := b.approve(s.Token(t, nil)); status != http.StatusForbidden || !strings.Contains(text, "group:leads") {
		t.Errorf("without the group: %d %s", status, text)
	}
	if status, text := b.approve(s.Token(t, map[string]any{"groups": []string{"leads"}})); status != http.StatusOK || !strings.Contains(text, `"approvers":["maria@example.com"]`) {
		t.Errorf("with it: %d %s", status, text)
	}
	p, err := b.store.Find(b.id)
	must(t, err)
	if len(p.Votes) != 1 || p.Votes[0].Account != s.URL+"#248289761001" {
		t.Errorf("%+v", p.Votes)
	}
	// Who may approve may not ask for what isn't theirs.
	if status, text, _ := b.ask("POST", "/v1/requests", `{"kind":"rollback","application":"production/shop/web"}`, "Bearer "+s.Token(t, nil)); status != http.StatusForbidden {
		t.Errorf("%d %s", status, text)
	}
}

func TestAPersonCountsOnceHoweverTheTokenNamesThem(t *testing.T) {
	s := oidctest.Start(t, false)
	b := open(t, takes(s, nil))
	two := &api.Approvals{Count: 2}
	for name, tokens := range map[string][]string{
		"twice":                        {s.Token(t, nil), s.Token(t, nil)},
		"under another address":        {s.Token(t, nil), s.Token(t, map[string]any{"email": "maria.b@example.com"})},
		"with and without an address":  {s.Token(t, nil), s.Token(t, map[string]any{"email_verified": false})},
		"in capitals, another account": {s.Token(t, nil), s.Token(t, map[string]any{"email": "Maria@Example.com", "sub": "2"})},
		"by the config and the issuer": {maria, s.Token(t, map[string]any{"email": "maria"})},
	} {
		b.propose(name, two)
		for i, token := range tokens {
			if status, text := b.approve(token); status != http.StatusOK || strings.Count(text, `"person"`) != 1 {
				t.Errorf("%s, vote %d: %d %s", name, i, status, text)
			}
		}
		p, err := b.store.Find(b.id)
		must(t, err)
		if v := p.Verdict(time.Now()); v.Status != "" || len(v.Approvers) != 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	b.propose("two people", two)
	b.approve(s.Token(t, nil))
	b.approve(s.Token(t, map[string]any{"email": "li@example.com", "sub": "2"}))
	if p, _ := b.store.Find(b.id); p.Verdict(time.Now()).Status != "approved" {
		t.Errorf("%+v", p.Verdict(time.Now()))
	}
	// Who pushed the image doesn't approve it.
	b.propose("the pusher", two)
	if status, text := b.approve(s.Token(t, map[string]any{"email": "octocat"})); status != http.StatusForbidden {
		t.Errorf("%d %s", status, text)
	}
}

func TestTransferredAndLateVotesAreRefused(t *testing.T) {
	s := oidctest.Start(t, false)
	b := open(t, takes(s, nil))
	lead := s.Token(t, map[string]any{"groups": "leads"}) // one text is one group
	former := b.id
	b.propose("1.2.0", &api.Approvals{From: []string{"group:leads"}})
	now := b.id
	b.id = former
	if status, text := b.approve(lead); status != http.StatusNotFound {
		t.Errorf("a vote for what was replaced: %d %s", status, text)
	}
	b.id = now
	if p, _ := b.store.Find(now); len(p.Votes) != 0 {
		t.Errorf("%+v", p.Votes)
	}
	must(t, b.store.Close(t.Context(), first(b.store), "expired", "nobody decided", time.Now()))
	if status, text := b.approve(lead); status != http.StatusConflict || !strings.Contains(text, "nobody decided") {
		t.Errorf("a late vote: %d %s", status, text)
	}
}

func TestForgedTokensAreAnsweredAlike(t *testing.T) {
	one, two := oidctest.Start(t, false), oidctest.Start(t, false)
	b := open(t, takes(one, nil), takes(two, func(o *service.OIDCPersons) { o.Audience = "slipway-two" }))
	stranger := oidctest.NewKey(t, "one", "ES256")
	sign := func(s *oidctest.Issuer, k oidctest.Key, changes map[string]any) string {
		return "Bearer " + k.Sign(t, nil, s.Claims(time.Now(), changes))
	}
	lead := map[string]any{"groups": []string{"leads"}}
	vote := "/v1/approvals/" + b.id + "/votes"
	_, want, _ := b.ask("POST", vote, `{"decision":"approved"}`, "Bearer nonsense")
	for name, tokens := range map[string][]string{
		"no token":                     nil,
		"an unknown issuer":            {sign(one, one.Key, map[string]any{"iss": "https://login.example.com"})},
		"no issuer":                    {sign(one, one.Key, map[string]any{"iss": nil})},
		"another issuer's key":         {sign(one, two.Key, lead)},
		"one's token as two's":         {sign(one, one.Key, map[string]any{"iss": two.URL, "aud": "slipway-two"})},
		"two's token for one":          {sign(two, two.Key, lead)},
		"a key of nobody":              {sign(one, stranger, lead)},
		"expired":                      {sign(one, one.Key, map[string]any{"exp": 1})},
		"another audience":             {sign(one, one.Key, map[string]any{"aud": "other"})},
		"oversized":                    {sign(one, one.Key, map[string]any{"groups": strings.Repeat("x", 20_000)})},
		"a good one, twice":            {sign(one, one.Key, lead), sign(one, one.Key, lead)},
		"a good one and a config's":    {sign(one, one.Key, lead), "Bearer " + maria},
		"a good one as basic":          {strings.Replace(sign(one, one.Key, lead), "Bearer", "Basic", 1)},
		"a good one, cut":              {sign(one, one.Key, lead)[:300]},
		"a good one, something behind": {sign(one, one.Key, lead) + "A"},
	} {
		if status, text, _ := b.ask("POST", vote, `{"decision":"approved"}`, tokens...); status != http.StatusUnauthorized || text != want {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if p, _ := b.store.Find(b.id); len(p.Votes) != 0 {
		t.Errorf("%+v", p.Votes)
	}
	if !strings.Contains(b.log.String(), "it is for another audience") {
		t.Errorf("the log doesn't say why: %s", b.log)
	}
	for name, token := range map[string]string{"one": sign(one, one.Key, lead), "two": sign(two, two.Key, map[string]any{"aud": "slipway-two", "groups": "leads"})} {
		if status, text, _ := b.ask("POST", vote, `{"decision":"approved"}`, token); status != http.StatusOK {
			t.Errorf("of issuer %s: %d %s", name, status, text)
		}
	}
}

func TestAnIssuerThatIsAwayIsNoForgery(t *testing.T) {
	s, other := oidctest.Start(t, false), oidctest.Start(t, false)
	b := open(t, takes(s, nil), takes(other, nil))
	s.Answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
	status, text, after := b.ask("GET", "/v1/approvals", "", "Bearer "+s.Token(t, nil))
	if status != http.StatusServiceUnavailable || after != "5" || !strings.Contains(text, "issuer can't be asked") || strings.Contains(text, s.URL) {
		t.Errorf("%d %s, Retry-After %q", status, text, after)
	}
	if status, text, _ := b.ask("GET", "/v1/approvals", "", "Bearer "+other.Token(t, nil)); status != http.StatusOK {
		t.Errorf("another issuer's: %d %s", status, text)
	}
	if status, text, _ := b.ask("GET", "/v1/approvals", "", "Bearer "+omar); status != http.StatusOK {
		t.Errorf("a person of the config: %d %s", status, text)
	}
}

// who gives the person whom the people know by a token.
func who(t *testing.T, token string, issuers ...service.OIDCPersons) (server.Person, error) {
	t.Helper()
	people, err := server.NewPeople(service.Automator{OIDC: issuers}, time.Now)
	must(t, err)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	return people.Who(r)
}

func TestNamesAndGroupsAreOfTheirIssuer(t *testing.T) {
	s, other := oidctest.Start(t, false), oidctest.Start(t, false)
	account := s.URL + "#248289761001"
	roles := map[string]any{"realm_access": map[string]any{"roles": []string{"leads", "dev"}}}
	for name, c := range map[string]struct {
		change func(*service.OIDCPersons)
		claims map[string]any
		// want is the name and the groups, else a part of the error.
		want string
	}{
		"a verified address":                {nil, nil, "maria@example.com"},
		"without one":                       {nil, map[string]any{"email": nil}, account},
		"one that isn't verified":           {nil, map[string]any{"email_verified": false}, account},
		"one of which that isn't said":      {nil, map[string]any{"email_verified": nil}, account},
		"only addresses":                    {claim("email"), map[string]any{"email_verified": false}, "no verified address"},
		"by subject":                        {func(o *service.OIDCPersons) { o.NameClaim, o.NamePrefix = "sub", nil }, nil, account},
		"by user name":                      {func(o *service.OIDCPersons) { o.NameClaim, o.NamePrefix = "preferred_username", nil }, map[string]any{"preferred_username": "maria"}, s.URL + "#maria"},
		"by user name alone":                {claim("preferred_username"), map[string]any{"preferred_username": "maria"}, "maria"},
		"by user name with a prefix":        {func(o *service.OIDCPersons) { o.NameClaim, o.NamePrefix = "preferred_username", new("ex:") }, map[string]any{"preferred_username": "maria"}, "ex:maria"},
		"by a nested claim":                 {claim("act.sub"), map[string]any{"act": map[string]any{"sub": "maria"}}, "maria"},
		"without the claim":                 {claim("preferred_username"), nil, "its claim preferred_username is no text"},
		"a claim that is a list":            {claim("amr"), map[string]any{"amr": []string{"maria"}}, "is no text"},
		"a name that is a group's":          {claim("x"), map[string]any{"x": "group:leads"}, "would be a group"},
		"a name with a line feed":           {claim("x"), map[string]any{"x": "maria\nSlipway-Approved-By: omar"}, "without blanks"},
		"a name that turns the text around": {claim("x"), map[string]any{"x": "maria\u202e"}, "without blanks"},
		"a long name":                       {claim("x"), map[string]any{"x": strings.Repeat("m", 300)}, "longer than"},
		"another issuer's account":          {claim("x"), map[string]any{"x": other.URL + "#1"}, "begins as another issuer's"},
		"another issuer's prefix":           {claim("x"), map[string]any{"x": "other:li"}, "begins as another issuer's"},
		"no subject":                        {nil, map[string]any{"sub": nil}, "no subject"},
		"groups":                            {nil, map[string]any{"groups": []string{"leads", "", "dev"}}, "maria@example.com leads dev"},
		"one group":                         {nil, map[string]any{"groups": "leads"}, "maria@example.com leads"},
		"Keycloak's roles":                  {func(o *service.OIDCPersons) { o.GroupsClaim = "realm_access.roles" }, roles, "maria@example.com leads dev"},
		"roles without groups":              {nil, roles, "maria@example.com"},
		"groups with a prefix":              {func(o *service.OIDCPersons) { o.GroupsPrefix = new("oidc:") }, map[string]any{"groups": "leads"}, "maria@example.com oidc:leads"},
		"another issuer's group":            {nil, map[string]any{"groups": "og:leads"}, "begins as another issuer's"},
		"groups that are numbers":           {nil, map[string]any{"groups": []int{1}}, "no text"},
		"groups that are an object":         {nil, map[string]any{"groups": map[string]any{"a": 1}}, "neither a list"},
	} {
		got, err := who(t, s.Token(t, c.claims), takes(s, c.change), takes(other, func(o *service.OIDCPersons) {
			o.NamePrefix, o.GroupsPrefix = new("other:"), new("og:")
		}))
		said := strings.Join(append([]string{got.Name}, got.Groups...), " ")
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v", name, err)
		case err == nil && (said != c.want || got.Account != account):
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func claim(name string) func(*service.OIDCPersons) {
	return func(o *service.OIDCPersons) { o.NameClaim = name }
}

// The same subject, or the same user name, at two issuers is two people's.
func TestTwoIssuersMakeTwoPeople(t *testing.T) {
	one, two := oidctest.Start(t, false), oidctest.Start(t, false)
	for _, name := range []string{"", "sub", "preferred_username"} {
		names := map[string]bool{}
		for _, s := range []*oidctest.Issuer{one, two} {
			token := s.Token(t, map[string]any{"email": nil, "preferred_username": "maria"})
			got, err := who(t, token, service.OIDCPersons{Issuer: one.URL, Audience: "slipway", NameClaim: name}, service.OIDCPersons{Issuer: two.URL, Audience: "slipway", NameClaim: name})
			must(t, err)
			names[got.Name] = true
		}
		if len(names) != 2 {
			t.Errorf("by %q: %v", name, names)
		}
	}
}

// Whatever a token of an issuer claims, its person's name is fit to stand in a
// commit, and of no other issuer.
func FuzzPerson(f *testing.F) {
	s := oidctest.Start(f, false)
	people, err := server.NewPeople(service.Automator{OIDC: []service.OIDCPersons{
		{Issuer: s.URL, Audience: "slipway", NameClaim: "x.y", NamePrefix: new(""), GroupsClaim: "g"},
		{Issuer: "https://other.example.com", Audience: "slipway", NamePrefix: new("other:")},
	}}, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{`{"x":{"y":"maria"},"g":"a"}`, `{"x.y":"other:li"}`, `{"x":{"y":"group:leads"}}`, `{"g":[[]]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		var changes map[string]any
		if json.Unmarshal([]byte(payload), &changes) != nil {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+s.Token(t, changes))
		got, err := people.Who(r)
		if err == nil && (service.CheckPersonName(got.Name) != nil || strings.HasPrefix(got.Name, "other:") || strings.HasPrefix(got.Name, "https://other.example.com#") || got.Account == "") {
			t.Errorf("%+v", got)
		}
	})
}
