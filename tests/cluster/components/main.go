// Command cluster is every program of a Kubernetes node that is written in Go, in one file: `cluster COMPONENT FLAGS`
// is what COMPONENT's own release does with FLAGS, and so is a link to it that is called COMPONENT. One program, because
// the components share most of their packages: seven would be linked, cached and mapped into memory seven times.
//
// The versions stand in go.mod and nowhere else.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var components = map[string]func(){
	"coredns": runCoreDNS,
	"etcd":    runEtcd,
	"kubectl": runKubectl,

	"kube-apiserver":          served(apiserver.NewAPIServerCommand),
	"kube-controller-manager": served(controllers.NewControllerManagerCommand),
	"kube-proxy":              served(proxy.NewProxyCommand),
	"kube-scheduler":          served(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 served(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

func main() {
	run, ok := components[filepath.Base(os.Args[0])] // called by a link of that name
	if !ok && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run, ok = components[os.Args[0]]
	}
	if ok {
		run()
		return
	}
	names := slices.Sorted(maps.Keys(components))
	fmt.Fprintf(os.Stderr, "usage: cluster COMPONENT [FLAG...]\ncomponents: %s\n", strings.Join(names, ", "))
	os.Exit(2)
}

func served(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}
