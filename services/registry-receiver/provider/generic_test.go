package provider_test

import (
	"errors"
	"maps"
	"net/http"
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
