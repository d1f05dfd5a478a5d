package provider

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// generic is any sender of JSON: the source's mapping says, in CEL over body
// and headers, where it names an image. The proof is the secret itself in a
// header or in the path or, where the source has a signature, the body's HMAC
// and nothing else.
var generic = webhook.Provider{
	Name:    "generic",
	MaxBody: webhook.MiB,
	Prove:   proveGeneric,
	Sign:    webhook.SignFixed("Authorization", "Bearer "),
	SignBy:  signGeneric,
	Check: func(s service.Source) error {
		if s.Signature != "" {
			if _, err := webhook.ParseHMAC(s.Signature, s.Header); err != nil {
				return err
			}
		}
		_, err := mappingOf(s.Mapping)
		return err
	},
	Parse: parseGeneric,
	Setup: webhook.Setup{
		Where: "Any sender of JSON: POST to /hooks/{source} with content type application/json. The source's mapping has CEL expressions over body, " +
			"headers (names in lower case) and, with items, item. repository is required; registry (else the source's), tag, digest, mediaType, " +
			"pusher, pushedAt (RFC 3339, a timestamp or Unix seconds), deleted, id and when as they are needed. What may be missing is " +
			"body.?tag. services/registry-receiver/RECIPES.md has whole ones for Jenkins, CircleCI, Travis CI, GitHub Actions and GitLab CI.",
		Events: "Those for which when is true; each gives an image that was pushed or, where deleted is true, one that was deleted. items is a " +
			"list in the body of which each gives one. What is told again has the same id, or Idempotency-Key in the header, or pushedAt, and " +
			"the same body: without any of them each delivery is a push of its own.",
		Secret: "Authorization: Bearer THE-SOURCE'S-SECRET; or a header that the source's header names; or /hooks/{source}/{secret}. A sender that " +
			"signs its body: header names the signature's header, and signature is hmac-sha256 (hmac-sha512, hmac-sha1), with prefix=TEXT and " +
			"encoding=base64 behind it as they are needed: \"hmac-sha256 prefix=v1=\". Then nothing but the signature is taken.",
		Tried: webhook.Documents,
	},
}

func proveGeneric(_ context.Context, r webhook.Request, s webhook.Source) error {
	switch {
	case s.Config.Signature != "":
		m, err := webhook.ParseHMAC(s.Config.Signature, s.Config.Header)
		if err != nil {
			return fmt.Errorf("%w: the source's %w", webhook.ErrProof, err)
		}
		return m.Verify(r.Header, r.Body, s.Secrets)
	case r.TokenFits:
		return nil
	}
	return byHeader(r, s)
}

func signGeneric(s service.Source, h http.Header) (webhook.Signer, error) {
	if s.Signature == "" {
		return webhook.SignHeader(s, h)
	}
	m, err := webhook.ParseHMAC(s.Signature, s.Header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", webhook.ErrCannotSign, err)
	}
	return func(h http.Header, body []byte, secret string, _ time.Time) { m.Sign(h, body, secret) }, nil
}

func parseGeneric(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{Timeless: true}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	m, err := mappingOf(s.Config.Mapping)
	if err != nil {
		return d, fmt.Errorf("%w: the source's %w", webhook.ErrBody, err)
	}
	body, err := anyJSON(r.Body)
	if err != nil {
		return d, err
	}
	vars := map[string]any{"body": body, "headers": headersOf(r, s), "item": nil}
	items := []ref.Val{types.NullValue}
	if _, ok := m["items"]; ok {
		if items, err = m.items(vars); err != nil {
			return d, err
		}
	}
	var ids []string
	for _, item := range items {
		vars["item"] = item
		i, ok, err := m.image(vars, &d)
		if err != nil {
			return d, err
		}
		if !ok {
			continue
		}
		if i.delivery == "" {
			i.delivery = r.Header.Get("Idempotency-Key")
		}
		id := i.delivery
		if id == "" && !i.time.IsZero() {
			id = i.time.Format(time.RFC3339Nano) // it may be a header's, which no hash of the body tells
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		i.add(&d, s)
	}
	// One that neither id nor time tells from a second push makes the whole
	// body such a one.
	if !slices.Contains(ids, "") {
		d.ID = strings.Join(ids, " ")
	}
	return d, nil
}

// headersOf are what an expression sees: it needs no secret.
func headersOf(r webhook.Request, s webhook.Source) map[string]string {
	headers := map[string]string{}
	for name, values := range r.Header {
		if name != "Authorization" && !strings.EqualFold(name, s.Config.Header) {
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return headers
}

// anyJSON reads an object or a list.
func anyJSON(body []byte) (any, error) {
	if webhook.IsList(body) {
		var list []any
		err := webhook.JSONList(body, &list)
		return list, err
	}
	var object map[string]any
	err := webhook.JSON(body, &object)
	return object, err
}
