package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

func TestRegistriesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{host: r.example.com, mirrors: [{endpoint: "https://m.internal/hub"}]}`:                                     "",
		`{host: r.example.com, mirrors: [{endpoint: "http://m.internal:5000", insecure: true}]}`:                     "",
		`{host: 1.dkr.ecr.eu-west-1.amazonaws.com, credentials: {ambient: ecr}}`:                                     "",
		`{host: r.example.com, mirrors: [{}]}`:                                                                       `registries[0].mirrors[0].endpoint: "" is not http://`,
		`{host: r.example.com, mirrors: [{endpoint: m.internal}]}`:                                                   "is not http:// or https:// with a host",
		`{host: r.example.com, mirrors: [{endpoint: "http://m.internal"}]}`:                                          "insecure: true",
		`{host: r.example.com, mirrors: [{endpoint: "https://maria:hunter2@m.internal"}]}`:                           "credentials belong in credentials",
		`{host: r.example.com, mirrors: [{endpoint: "ftp://maria:hunter2@m.internal"}]}`:                             "credentials belong in credentials",
		`{host: r.example.com, endpoint: "https://maria:hunter2@m internal"}`:                                        "registries[0].endpoint: it is not an address",
		`{host: r.example.com, mirrors: [{endpoint: "https://m.internal/?ns=docker.io"}]}`:                           "more than a host and a path",
		`{host: r.example.com, mirrors: [{endpoint: "https://m.internal", mirrors: []}]}`:                            "field mirrors is not known",
		`{host: r.example.com, mirrors: [{endpoint: "https://m.internal", credentials: {ambient: ecs}}]}`:            "registries[0].mirrors[0].credentials.ambient",
		`{host: r.example.com, credentials: {ambient: ecs}}`:                                                         `"ecs" is none of ecr, gcr, acr (did you mean ecr?)`,
		`{host: r.example.com, credentials: {ambient: aws}}`:                                                         `"aws" is none of ecr, gcr, acr`,
		`{host: r.example.com, credentials: {ambient: ecr, dockerConfig: /x}}`:                                       "give one of",
		`{host: r.example.com, credentials: {token: {env: PATH}}}`:                                                   "registries[0].credentials.user: there is none",
		`{host: r.example.com, credentials: {user: x, token: {env: PATH}}}`:                                          "",
		`{host: r.example.com, credentials: {file: /x}}`:                                                             "file is for NATS",
		`{host: r.example.com, credentials: {ssh: {key: {file: /x}, knownHosts: {text: "x"}}}}`:                      "ssh and githubApp are for Git hosts",
		"{host: r.example.com}\nrepositories: [{url: \"https://git.example.com/a\", credentials: {ambient: gcr}}]":   "ambient are not for Git hosts",
		"{host: r.example.com}\ncredentials: [{prefix: \"https://git.example.com\", credentials: {}, ambient: gcr}]": "credentials",
	} {
		file := filepath.Join(t.TempDir(), "slipway.yaml")
		if err := os.WriteFile(file, []byte("bus: {embedded: {}}\nregistries:\n- "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := service.Load(file)
		if (err == nil) != (want == "") || (err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2"))) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
}
