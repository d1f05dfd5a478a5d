package plane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

type component func(context.Context) error

// components reads each component's flags; what it returns runs them. They are read
// first, all three, because they share one set of feature gates.
func (p *Plane) components(ctx context.Context, dir string, keys pki, etcdURL string, listener net.Listener) (api, controllers, schedule component, err error) {
	if api, err = apiServer(keys, etcdURL, listener); err != nil {
		return nil, nil, nil, fmt.Errorf("set up kube-apiserver: %w", err)
	}
	if controllers, err = controllerManager(dir, keys); err != nil {
		return nil, nil, nil, fmt.Errorf("set up kube-controller-manager: %w", err)
	}
	if schedule, err = podScheduler(dir); err != nil {
		return nil, nil, nil, fmt.Errorf("set up kube-scheduler: %w", err)
	}
	return api, controllers, schedule, ctx.Err()
}

func parse(sets cliflag.NamedFlagSets, args ...string) error {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		all.AddFlagSet(set)
	}
	return all.Parse(args)
}

func apiServer(keys pki, etcdURL string, listener net.Listener) (component, error) {
	o := apiserveroptions.NewServerRunOptions()
	err := parse(o.Flags(),
		"--etcd-servers="+etcdURL,
		"--advertise-address=127.0.0.1",
		// Nothing runs inside of the cluster, so nobody needs the API as a service;
		// a loopback address can't be an endpoint anyway.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--client-ca-file="+keys.crt("ca"),
		"--tls-cert-file="+keys.crt("apiserver"),
		"--tls-private-key-file="+keys.key("apiserver"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+keys.key("service-account"),
		"--service-account-signing-key-file="+keys.key("service-account"),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1000",
		"--profiling=false",
	)
	if err != nil {
		return nil, err
	}
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	return func(ctx context.Context) error {
		completed, err := o.Complete(ctx)
		if err != nil {
			return err
		}
		if errs := completed.Validate(); len(errs) > 0 {
			return errors.Join(errs...)
		}
		return apiserver.Run(ctx, completed)
	}, nil
}

func controllerManager(dir string, keys pki) (component, error) {
	o, err := kcmoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, err
	}
	err = parse(o.Flags(kcm.KnownControllers(), kcm.ControllersDisabledByDefault(), kcm.ControllerAliases()),
		"--kubeconfig="+kubeconfigPath(dir, "kube-controller-manager"),
		"--secure-port=0",
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--root-ca-file="+keys.crt("ca"),
		"--service-account-private-key-file="+keys.key("service-account"),
		"--cluster-signing-cert-file="+keys.crt("ca"),
		"--cluster-signing-key-file="+keys.key("ca"),
		// A simulated node never dies: late heartbeats only mean a busy machine.
		"--node-monitor-grace-period=24h",
		"--concurrent-deployment-syncs=20",
		"--concurrent-replicaset-syncs=20",
		"--concurrent-statefulset-syncs=20",
		"--concurrent-daemonset-syncs=10",
		"--concurrent-job-syncs=20",
		"--concurrent-service-endpoint-syncs=20",
		"--concurrent-namespace-syncs=20",
		"--profiling=false",
	)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		config, err := o.Config(ctx, kcm.KnownControllers(), kcm.ControllersDisabledByDefault(), kcm.ControllerAliases())
		if err != nil {
			return err
		}
		return kcm.Run(ctx, config.Complete())
	}, nil
}

// schedulerConfig is the scheduler's only place for its client's limits.
const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %q, qps: 500, burst: 1000}
leaderElection: {leaderElect: false}
enableProfiling: false
`

func podScheduler(dir string) (component, error) {
	path := filepath.Join(dir, "scheduler.yaml")
	text := fmt.Sprintf(schedulerConfig, kubeconfigPath(dir, "kube-scheduler"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	o := scheduleroptions.NewOptions()
	if err := parse(*o.Flags, "--config="+path, "--secure-port=0"); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		config, s, err := scheduler.Setup(ctx, o)
		if err != nil {
			return err
		}
		return scheduler.Run(ctx, config, s)
	}, nil
}
