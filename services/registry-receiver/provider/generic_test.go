package provider_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func TestMappingsAreCheckedAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string
		fault  string
	}{
		"as it is":                   {map[string]string{}, ""},
		"an optional value":          {map[string]string{"tag": "body.?tag"}, ""},
		"null":                       {map[string]string{"tag": "null"}, ""},
		"without a repository":       {map[string]string{"repository": ""}, "mapping.repository"},
		"an unknown key":             {map[string]string{"image": "body.image"}, "mapping.image: there is no such key"},
		"no CEL":                     {map[string]string{"tag": "body."}, "mapping.tag"},
		"an unknown name":            {map[string]string{"tag": "payload.tag"}, "mapping.tag"},
		"a number for a tag":         {map[string]string{"tag": "1 + 2"}, "mapping.tag: it gives a int, not a string"},
		"a string for a condition":   {map[string]string{"when": "'yes'"}, "mapping.when: it gives a string, not a bool"},
		"a condition for a list":     {map[string]string{"items": "true"}, "mapping.items: it gives a bool"},
		"a list of what the body is": {map[string]string{"items": "[body]"}, ""},
		"an unknown key tells all":   {map[string]string{"time": "body.at"}, "use deleted, digest, id, items, mediaType, pushedAt, pusher, registry, repository, tag, when"},
		"a time as text":             {map[string]string{"pushedAt": "'2026-11-23T20:15:04Z'"}, ""},
		"a time of CEL":              {map[string]string{"pushedAt": "timestamp(int(body.at / 1000.0))"}, ""},
		"a time as a number":         {map[string]string{"pushedAt": "1795464903"}, ""},
		"a condition for a time":     {map[string]string{"pushedAt": "true"}, "mapping.pushedAt: it gives a bool, not a string or google.protobuf.Timestamp or int"},
		"a string for deleted":       {map[string]string{"deleted": "'yes'"}, "mapping.deleted: it gives a string, not a bool"},
		"deleted by a comparison":    {map[string]string{"deleted": "body.action == 'delete'"}, ""},
		"deleted, perhaps":           {map[string]string{"deleted": "body.?deleted"}, ""},
		"a number for an id":         {map[string]string{"id": "7"}, ""},
		"a list for an id":           {map[string]string{"id": "[body.id]"}, "mapping.id: it gives a list(dyn), not a string or int"},
		"perhaps a number for a tag": {map[string]string{"tag": "optional.of(7)"}, "mapping.tag: it gives a"},
	} {
		t.Run(name, func(t *testing.T) {
			mapping := map[string]string{"repository": "body.repository", "tag": "body.tag"}
			maps.Copy(mapping, c.change)
			err := find(t, "generic").Check(service.Source{Mapping: mapping})
			if (c.fault == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("gives %v, want %q", err, c.fault)
			}
		})
	}
	if err := find(t, "generic").Check(service.Source{}); err == nil {
		t.Error("a source without a mapping is taken")
	}
}

func TestAMappingCostsLittle(t *testing.T) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 20000), ",") + "]"
	s := webhook.Source{Name: "ci", Host: "registry.example.com", Config: service.Source{Mapping: map[string]string{
		"repository": "body.l.exists(a, body.l.exists(b, body.l.exists(c, a + b + c > 3.0))) ? 'a' : 'b'",
	}}}
	began := time.Now()
	_, err := find(t, "generic").Parse(webhook.Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"l":` + list + `}`)}, s)
	if !errors.Is(err, webhook.ErrBody) || time.Since(began) > 5*time.Second {
		t.Errorf("gives %v after %s", err, time.Since(began))
	}
}

func TestAnExpressionSeesNoSecret(t *testing.T) {
	for header, expression := range map[string]string{"Authorization": "headers.?authorization.orValue('none')", "X-Secret": "headers[?'x-secret'].orValue('none')"} {
		d := newDoor(t, service.Source{
			Provider: "generic", Header: map[string]string{"X-Secret": "X-Secret"}[header], Registry: "registry.example.com",
			Mapping: map[string]string{"repository": "'shop/cart'", "tag": expression},
		})
		resp := d.call(t, http.MethodPost, "/hooks/generic", "{}", header, "sesame")
		if body := text(t, resp); resp.StatusCode != http.StatusAccepted || !strings.Contains(body, "tag=none") {
			t.Errorf("%s: answered %d %s", header, resp.StatusCode, body)
		}
	}
}

func TestWhatIsToldAgainIsOneWhereTheMappingTellsIt(t *testing.T) {
	for name, c := range map[string]struct {
		mapping      map[string]string
		first, again string
		same         bool
	}{
		"by an id":                         {map[string]string{"id": "body.id"}, `{"id":"7"}`, `{"id":"7"}`, true},
		"by an id in a header":             {map[string]string{"id": "headers['x-run']"}, `{}`, `{}`, true},
		"by a time":                        {map[string]string{"pushedAt": "body.at"}, `{"at":1795464903}`, `{"at":1795464903}`, true},
		"another id is another":            {map[string]string{"id": "body.id"}, `{"id":"7"}`, `{"id":"8"}`, false},
		"the same id with another body":    {map[string]string{"id": "body.id"}, `{"id":"7"}`, `{"id":"7","x":1}`, false},
		"without id and time each is one":  {map[string]string{}, `{}`, `{}`, false},
		"an id that is not there is none":  {map[string]string{"id": "body.?id"}, `{}`, `{}`, false},
		"a time that is not there is none": {map[string]string{"pushedAt": "body.?at"}, `{}`, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			mapping := map[string]string{"repository": "'shop/cart'", "tag": "'1.4.2'"}
			maps.Copy(mapping, c.mapping)
			d := newDoor(t, service.Source{Provider: "generic", Registry: "registry.example.com", Mapping: mapping})
			var answers []string
			for _, body := range []string{c.first, c.again} {
				resp := d.call(t, http.MethodPost, "/hooks/generic", body, "Authorization", "Bearer sesame", "X-Run", "7")
				answers = append(answers, text(t, resp))
				if resp.StatusCode != http.StatusAccepted {
					t.Fatalf("answered %d %s", resp.StatusCode, answers[0])
				}
			}
			if (answers[0] == answers[1]) != c.same {
				t.Errorf("answered %s, then %s", answers[0], answers[1])
			}
		})
	}
}

func TestTimesInAHeaderTellPushesApart(t *testing.T) {
	d := newDoor(t, service.Source{Provider: "generic", Registry: "registry.example.com", Mapping: map[string]string{
		"repository": "'shop/cart'", "tag": "'1.4.2'", "pushedAt": "headers['x-time']",
	}})
	answers := map[string]bool{}
	for _, at := range []string{"2026-11-23T20:15:04Z", "2026-11-23T20:15:05Z", "2026-11-23T20:15:04Z"} {
		resp := d.call(t, http.MethodPost, "/hooks/generic", "{}", "Authorization", "Bearer sesame", "X-Time", at)
		body := text(t, resp)
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("answered %d %s", resp.StatusCode, body)
		}
		answers[body] = true
	}
	if len(answers) != 2 {
		t.Errorf("two pushes, one of them told again, give %d answers: %v", len(answers), answers)
	}
}

func TestASourceWithASignatureTakesNothingElse(t *testing.T) {
	mapping := map[string]string{"repository": "body.repository"}
	body := `{"repository":"shop/cart"}`
	for signature, prefix := range map[string]string{"hmac-sha256 prefix=v1=": "v1=", "hmac-sha512 encoding=base64": ""} {
		source := service.Source{Provider: "generic", Registry: "registry.example.com", Mapping: mapping, Header: "X-Signature", Signature: signature}
		d := newDoor(t, source)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/generic", http.NoBody)
		if err := find(t, "generic").SignRequest(r, []byte(body), source, "sesame", time.Now()); err != nil {
			t.Fatal(err)
		}
		proof := r.Header.Get("X-Signature")
		for name, c := range map[string]struct {
			path, body string
			headers    []string
			status     int
		}{
			"the signature":                  {"/hooks/generic", body, []string{"X-Signature", proof}, 202},
			"of another body":                {"/hooks/generic", body + " ", []string{"X-Signature", proof}, 401},
			"without its prefix":             {"/hooks/generic", body, []string{"X-Signature", "x" + strings.TrimPrefix(proof, prefix)}, 401},
			"cut":                            {"/hooks/generic", body, []string{"X-Signature", proof[:len(proof)-1]}, 401},
			"in another header":              {"/hooks/generic", body, []string{"X-Hub-Signature", proof}, 401},
			"none":                           {"/hooks/generic", body, nil, 401},
			"empty":                          {"/hooks/generic", body, []string{"X-Signature", ""}, 401},
			"the secret itself":              {"/hooks/generic", body, []string{"X-Signature", "sesame"}, 401},
			"the secret in Authorization":    {"/hooks/generic", body, []string{"Authorization", "Bearer sesame"}, 401},
			"the secret in the path":         {"/hooks/generic/sesame", body, nil, 401},
			"the secret in the path as well": {"/hooks/generic/sesame", body, []string{"X-Signature", proof}, 202},
		} {
			before := len(d.kept)
			resp := d.call(t, http.MethodPost, c.path, c.body, c.headers...)
			if got := text(t, resp); resp.StatusCode != c.status || (len(d.kept) > before) != (c.status == 202) {
				t.Errorf("%s, %s: answered %d %s", signature, name, resp.StatusCode, got)
			}
		}
	}
	for signature, fault := range map[string]string{"hmac": "none of hmac-sha256", "hmac-sha256 prefix": "neither prefix=TEXT"} {
		if err := find(t, "generic").Check(service.Source{Mapping: mapping, Header: "X-Signature", Signature: signature}); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s gives %v", signature, err)
		}
	}
	if err := find(t, "generic").Check(service.Source{Mapping: mapping, Signature: "hmac-sha256"}); err == nil || !strings.Contains(err.Error(), "needs header") {
		t.Errorf("a signature without its header gives %v", err)
	}
}

func TestTheHandshakeOfCloudEventsNeedsTheSecret(t *testing.T) {
	d := newDoor(t, service.Source{Provider: "cloudevents"}, service.Source{Provider: "cdevents"})
	for name, c := range map[string]struct {
		path, origin, authorization string
		status                      int
	}{
		"a bearer":              {"/hooks/cloudevents", "events.example.com", "Bearer sesame", 200},
		"a token in the path":   {"/hooks/cdevents/sesame", "events.example.com", "", 200},
		"a token in the query":  {"/hooks/cloudevents?access_token=sesame", "events.example.com", "", 200},
		"another in the query":  {"/hooks/cloudevents?access_token=x", "events.example.com", "Bearer sesame", 403},
		"none":                  {"/hooks/cloudevents", "events.example.com", "", 403},
		"another bearer":        {"/hooks/cloudevents", "events.example.com", "Bearer guessed", 403},
		"no origin":             {"/hooks/cloudevents", "", "Bearer sesame", 403},
		"an origin that is all": {"/hooks/cloudevents", "*", "Bearer sesame", 403},
		"an origin of two":      {"/hooks/cloudevents", "a.example\r\nX: y", "Bearer sesame", 403},
	} {
		t.Run(name, func(t *testing.T) {
			resp := d.call(t, http.MethodOptions, c.path, "", "WebHook-Request-Origin", c.origin, "Authorization", c.authorization, "WebHook-Request-Callback", "http://169.254.169.254/")
			allowed := resp.Header.Get("WebHook-Allowed-Origin")
			if body := text(t, resp); resp.StatusCode != c.status || (allowed == c.origin && c.origin != "") != (c.status == 200) || body != "" {
				t.Errorf("answered %d %q, allowed %q", resp.StatusCode, body, allowed)
			}
		})
	}
}
