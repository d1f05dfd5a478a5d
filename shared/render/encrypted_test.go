package render_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/render"
)

// mark is the metadata of a file that SOPS encrypted, as far as it is looked at.
const mark = "sops:\n  mac: ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]\n  lastmodified: \"2026-01-01T00:00:00Z\"\n"

func TestWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, data string
		want       render.Format
	}{
		{"a.yaml", cm("a") + mark, render.YAML},
		{"a.yaml", cm("a") + "---\n" + cm("b") + mark, render.YAML},
		{"a.txt", cm("a") + mark, render.YAML},
		{"a.yaml", "{\"a\": 1, \"sops\": {\"mac\": \"x\"}}", render.YAML},
		{"a.json", "{\"a\": 1, \"sops\": {\"mac\": \"x\"}}", render.JSON},
		{"a.json", "{\"data\": \"x\", \"sops\": {\"mac\": \"x\"}}", render.JSON},
		{"a.bin", "{\"data\": \"x\", \"sops\": {\"mac\": \"x\"}}", render.Binary},
		{"a.env", "A=b\nsops_mac=x\n", render.Dotenv},
		{"a.ini", "[a]\nb=c\n[sops]\nmac = x\n", render.INI},
		// The MAC taken away, or emptied.
		{"a.yaml", "a: b\nsops: {lastmodified: x}\n", render.YAML},
		{"a.yaml", "a: b\nsops: {lastmodified: x, mac: \"\"}\n", render.YAML},
		// What only looks like it.
		{"a.yaml", "sops: {enabled: true}\n", ""},
		{"a.yaml", "a: {sops: {mac: x}}\n", ""},
		{"a.yaml", "script: |\n  sops_mac=x\n", ""},
		{"a.yaml", "sops: sops\n", ""},
		{"a.json", "{\"sops\": [1]}", ""},
		{"a.json", "[{\"sops\": {\"mac\": \"x\"}}]", ""},
		{"a.yaml", "sops: [", ""},
		{"a.yaml", cm("a"), ""},
	} {
		if got := render.FormatOf(tt.name, []byte(tt.data)); got != tt.want {
			t.Errorf("%s: %q, want %q\n%s", tt.name, got, tt.want, tt.data)
		}
	}
}

// plainText decrypts to a text.
type plainText struct {
	text   string
	values []string
}

func (p plainText) Decrypt(context.Context, render.Format, []byte) ([]byte, []string, error) {
	return []byte(p.text), p.values, nil
}

func TestMasks(t *testing.T) {
	t.Parallel()
	values := []string{"s3cr3t/word", "one \"two\" three", "line one\nline two of it", "ab", "", "true\n", "pin-1"}
	got, err := render.Render(t.Context(), render.Request{FS: repo("app/a.yaml", cm("a")+mark), Path: "app", Decrypter: plainText{cm("a"), values}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`host: Invalid value: "s3cr3t/word": no`:   `host: Invalid value: (a secret value): no`,
		"cannot unmarshal !!str `s3cr3t/...` into": "cannot unmarshal !!str (a secret value) into",
		`data "one \"two\" three" and raw`:         `data (a secret value) and raw`,
		`"x one \"two\" three"`:                    `"x (a secret value)"`,
		"one\n  \"two\" three":                     "(a secret value)",
		`got "line one\nline two of it"`:           `got "(a secret value)"`,
		`got line two of it!`:                      `got (a secret value)!`,
		`base64 czNjcjN0L3dvcmQ=`:                  `base64 (a secret value)`,
		`bytes [112 105 110 45 49]`:                `bytes [(a secret value)]`,
		`about "ab"`:                               `about (a secret value)`,
		`nothing`:                                  `nothing`,
	} {
		if hidden := got.Masks.Hide(text); hidden != want {
			t.Errorf("%s: got %s", text, hidden)
		}
	}
	if (*render.Masks)(nil).Hide("as it is") != "as it is" {
		t.Error("no masks hide something")
	}
}

func TestWithoutAKeyCiphertextIsNeverRendered(t *testing.T) {
	t.Parallel()
	_, err := render.Render(t.Context(), render.Request{FS: repo("app/a.yaml", cm("a"), "app/b.yaml", cm("b")+mark), Path: "app"})
	var fault *render.Error
	if !errors.As(err, &fault) || fault.Reason != render.ReasonEncrypted || fault.File != "app/b.yaml" || !strings.Contains(fault.Help, "spec.decryption.secret") {
		t.Errorf("%v", err)
	}
}

// FuzzEncrypted renders what may be encrypted, without a key and with one that
// gives anything.
func FuzzEncrypted(f *testing.F) {
	for _, seed := range []string{cm("a") + mark, cm("a") + "---\n" + cm("b") + mark + "---\n" + mark, "{\"data\": 1, \"sops\": {\"mac\": \"x\"}}", "a=b\nsops_mac=x\n", "[sops]\nmac=x\n", "sops: &a {mac: *a}", "---\n---\n" + mark} {
		f.Add([]byte(seed), cm("plain"))
	}
	f.Fuzz(func(t *testing.T, data []byte, plain string) {
		for _, name := range []string{"x/a.yaml", "x/a.json"} {
			fsys := repo(name, string(data))
			_, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "x", Decrypter: plainText{plain, []string{plain}}})
			if err != nil && len(plain) > 64 && strings.Contains(err.Error(), plain) {
				t.Errorf("the error tells what was decrypted: %v", err)
			}
			got, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "x"})
			if err == nil && len(got.Objects) > 0 && render.FormatOf(name, data) != "" {
				t.Errorf("ciphertext is rendered: %q", data)
			}
			if _, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "x", Sealed: true}); err != nil && errors.As(err, new(*render.Error)) == false {
				t.Errorf("%v is no *Error", err)
			}
		}
	})
}
