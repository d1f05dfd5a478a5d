package plane

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func kubeconfigPath(dir, user string) string {
	if user == "admin" {
		return filepath.Join(dir, "kubeconfig")
	}
	return filepath.Join(dir, user+".kubeconfig")
}

// writeKubeconfigs writes one for the administrator and one for each component. They
// hold the certificates themselves, so that they can be copied elsewhere.
func (p *Plane) writeKubeconfigs(dir string, keys pki, local string) error {
	for _, user := range []string{"admin", "kube-controller-manager", "kube-scheduler", "kubelet"} {
		server := local
		if user == "admin" {
			server = p.Server
		}
		config := api.NewConfig()
		config.Clusters["slipway-e2e"] = &api.Cluster{Server: server, CertificateAuthority: keys.crt("ca")}
		config.AuthInfos[user] = &api.AuthInfo{ClientCertificate: keys.crt(user), ClientKey: keys.key(user)}
		config.Contexts["slipway-e2e"] = &api.Context{Cluster: "slipway-e2e", AuthInfo: user}
		config.CurrentContext = "slipway-e2e"
		if err := api.FlattenConfig(config); err != nil {
			return fmt.Errorf("put certificates into the kubeconfig of %s: %w", user, err)
		}
		if err := clientcmd.WriteToFile(*config, kubeconfigPath(dir, user)); err != nil {
			return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
		}
	}
	p.Kubeconfig = kubeconfigPath(dir, "admin")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfigPath(dir, "kubelet"))
	if err != nil {
		return fmt.Errorf("read the kubeconfig of kubelet: %w", err)
	}
	config.QPS = -1 // the simulated nodes are many kubelets in one
	p.Config = config
	return nil
}
