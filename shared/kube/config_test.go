package kube_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/kube"
)

const (
	goodCluster = `{name: prod, cluster: {server: "https://prod.example.com:6443", insecure-skip-tls-verify: true}}`
	goodUser    = `{name: tenant, user: {token: "a-token"}}`
)

func kubeconfig(cluster, user string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: it\ncontexts: [{name: it, context: {cluster: prod, user: tenant}}]\nclusters: [" + cluster + "]\nusers: [" + user + "]\n"
}

func TestAKubeconfigOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, says string }{
		"good":             {kubeconfig(goodCluster, goodUser), ""},
		"a program":        {kubeconfig(goodCluster, `{name: tenant, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}}}`), "exec is refused"},
		"a plug-in":        {kubeconfig(goodCluster, `{name: tenant, user: {auth-provider: {name: gcp}}}`), "auth-provider is refused"},
		"our token":        {kubeconfig(goodCluster, `{name: tenant, user: {tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}}`), "tokenFile is refused"},
		"our certificate":  {kubeconfig(goodCluster, `{name: tenant, user: {client-certificate: /etc/a.pem, client-key-data: YQ==}}`), "client-certificate is refused"},
		"our key":          {kubeconfig(goodCluster, `{name: tenant, user: {client-certificate-data: YQ==, client-key: /etc/a.pem}}`), "client-key is refused"},
		"our CA":           {kubeconfig(`{name: prod, cluster: {server: "https://a", certificate-authority: /etc/ca.pem}}`, goodUser), "certificate-authority is refused"},
		"plain HTTP":       {kubeconfig(`{name: prod, cluster: {server: "http://a"}}`, goodUser), "is not an https:// address"},
		"no server":        {kubeconfig(`{name: prod, cluster: {}}`, goodUser), "is not an https:// address"},
		"no cluster":       {kubeconfig("", goodUser), `names cluster "prod" and user "tenant", of which it lacks one`},
		"nothing":          {"", `no context ""`},
		"not a kubeconfig": {"{", "it is not a kubeconfig"},
	} {
		config, err := kube.Parse([]byte(c.data))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err == nil && (config.Host != "https://prod.example.com:6443" || config.BearerToken != "a-token") {
			t.Errorf("%s: %s", name, config.Host)
		}
	}
}

func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(kubeconfig(goodCluster, goodUser)))
	f.Add([]byte(kubeconfig(goodCluster, `{name: tenant, user: {exec: {command: sh}}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := kube.Parse(data)
		if err == nil && (config.ExecProvider != nil || config.AuthProvider != nil || config.BearerTokenFile != "" ||
			config.CertFile != "" || config.KeyFile != "" || config.CAFile != "") {
			t.Errorf("a program or a file of ours got through: %+v", config)
		}
	})
}
