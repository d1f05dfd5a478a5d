package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

const (
	gridValidation = `{"id":"a","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6","validationUrl":"https://169.254.169.254/"}}`
	gridPush       = `{"id":"b","eventType":"Microsoft.ContainerRegistry.ImagePushed","data":{"action":"push","timestamp":"2026-11-23T20:15:03Z","target":{"repository":"shop/cart","tag":"1.4.2"},"request":{"host":"acme.azurecr.io"}}}`
)

// WEBHOOKS.md Z 25.
func TestEventGridsCodeIsToldToWhoProvesHimself(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		answer     string
		stored     int
	}{
		"the right code":       {"/hooks/azure-eventgrid?code=sesame", "[" + gridValidation + "]", nil, 200, `{"validationResponse":"512d38b6"}`, 0},
		"with an event":        {"/hooks/azure-eventgrid?code=sesame", "[" + gridValidation + "," + gridPush + "]", nil, 200, `{"validationResponse":"512d38b6"}`, 1},
		"a token in the path":  {"/hooks/azure-eventgrid/sesame", "[" + gridValidation + "]", nil, 200, `{"validationResponse":"512d38b6"}`, 0},
		"a header":             {"/hooks/azure-eventgrid", "[" + gridValidation + "]", []string{"Authorization", "sesame"}, 200, `{"validationResponse":"512d38b6"}`, 0},
		"a wrong code":         {"/hooks/azure-eventgrid?code=guessed", "[" + gridValidation + "]", nil, 401, "", 0},
		"two codes":            {"/hooks/azure-eventgrid?code=sesame&code=x", "[" + gridValidation + "]", nil, 401, "", 0},
		"an empty code":        {"/hooks/azure-eventgrid?code=", "[" + gridValidation + "]", nil, 401, "", 0},
		"a wrong code, header": {"/hooks/azure-eventgrid?code=guessed", "[" + gridValidation + "]", []string{"Authorization", "sesame"}, 401, "", 0},
		"no code":              {"/hooks/azure-eventgrid", "[" + gridValidation + "]", nil, 401, "", 0},
		"an unknown source":    {"/hooks/nobody?code=sesame", "[" + gridValidation + "]", nil, 404, "", 0},
		"an event alone":       {"/hooks/azure-eventgrid?code=sesame", "[" + gridPush + "]", nil, 202, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, service.Source{Provider: "azure-eventgrid"})
			resp := d.call(t, http.MethodPost, c.path, c.body, c.headers...)
			body := text(t, resp)
			if resp.StatusCode != c.status || (c.answer != "" && body != c.answer) || len(d.kept) != c.stored {
				t.Errorf("answered %d %s and stored %d", resp.StatusCode, body, len(d.kept))
			}
			if c.status != 200 && strings.Contains(body, "512d38b6") {
				t.Error("the code is told")
			}
		})
	}
}

func TestTheHandshakeOfCloudEventsIsForEventGridAlone(t *testing.T) {
	d := newDoor(t, service.Source{Provider: "azure-eventgrid"}, service.Source{Provider: "acr"})
	for name, c := range map[string]struct {
		path, origin string
		status       int
	}{
		"Event Grid":            {"/hooks/azure-eventgrid?code=sesame", "eventgrid.azure.net", 200},
		"without a code":        {"/hooks/azure-eventgrid", "eventgrid.azure.net", 200},
		"with a wrong code":     {"/hooks/azure-eventgrid?code=guessed", "eventgrid.azure.net", 403},
		"another origin":        {"/hooks/azure-eventgrid?code=sesame", "evil.example", 403},
		"an origin that begins": {"/hooks/azure-eventgrid?code=sesame", "eventgrid.azure.net.evil.example", 403},
		"no origin":             {"/hooks/azure-eventgrid?code=sesame", "", 403},
		"another provider":      {"/hooks/acr", "eventgrid.azure.net", 405},
		"an unknown source":     {"/hooks/nobody", "eventgrid.azure.net", 405},
	} {
		t.Run(name, func(t *testing.T) {
			resp := d.call(t, http.MethodOptions, c.path, "", "WebHook-Request-Origin", c.origin, "WebHook-Request-Callback", "https://169.254.169.254/", "WebHook-Request-Rate", "120")
			allowed := resp.Header.Get("WebHook-Allowed-Origin")
			if body := text(t, resp); resp.StatusCode != c.status || (allowed == "eventgrid.azure.net") != (c.status == 200) || (c.status == 200 && body != "") {
				t.Errorf("answered %d %q, allowed %q", resp.StatusCode, body, allowed)
			}
			if c.status == 200 && resp.Header.Get("WebHook-Allowed-Rate") == "" {
				t.Error("no rate is told")
			}
		})
	}
}

func TestSendersWithTokensThroughTheDoor(t *testing.T) {
	s := newIssuer()
	defer s.Close()
	d := newDoor(t,
		service.Source{Provider: "azure-eventgrid", OIDC: &service.OIDC{Issuer: s.URL, Audience: pushURL, Subject: "grid"}},
		service.Source{Provider: "gar", OIDC: &service.OIDC{Issuer: s.URL, Audience: pushURL, Email: pusher}})
	grid := "Bearer " + s.token(s.one, map[string]any{"appid": "grid"})
	s.down.Store(true)
	resp := d.call(t, http.MethodPost, "/hooks/azure-eventgrid", "["+gridPush+"]", "Authorization", grid)
	if body := text(t, resp); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || strings.Contains(body, s.URL) {
		t.Errorf("without keys: answered %d %s", resp.StatusCode, body)
	}
	s.down.Store(false)
	other := newIssuer() // the first is not asked again for some seconds
	defer other.Close()
	d = newDoor(t,
		service.Source{Provider: "azure-eventgrid", OIDC: &service.OIDC{Issuer: other.URL, Audience: pushURL, Subject: "grid"}},
		service.Source{Provider: "gar", OIDC: &service.OIDC{Issuer: other.URL, Audience: pushURL, Email: pusher}})
	grid = "Bearer " + other.token(other.one, map[string]any{"appid": "grid"})
	// A token and a right code: where the config wants a token, that counts.
	for _, c := range []struct {
		path, body, token string
		status            int
	}{
		{"/hooks/azure-eventgrid", "[" + gridPush + "]", grid, 202},
		{"/hooks/azure-eventgrid", "[" + gridValidation + "]", grid, 200},
		{"/hooks/azure-eventgrid?code=sesame", "[" + gridPush + "]", "", 401},
		{"/hooks/azure-eventgrid", "[" + gridPush + "]", "Bearer " + other.token(other.one, nil), 403},
		{"/hooks/gar", "{}", "Bearer " + other.token(other.one, nil), 202}, // put aside: Pub/Sub would send it for days
		{"/hooks/gar", "{}", grid, 202},
	} {
		got := d.call(t, http.MethodPost, c.path, c.body, "Authorization", c.token)
		if body := text(t, got); got.StatusCode != c.status {
			t.Errorf("%s: answered %d %s, want %d", c.path, got.StatusCode, body, c.status)
		}
	}
	if len(d.kept) != 1 || d.aside != 2 {
		t.Errorf("stored %d and put aside %d", len(d.kept), d.aside)
	}
}
