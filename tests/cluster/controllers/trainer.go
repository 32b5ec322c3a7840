// The controllers and admission webhooks of JobSet and of Kubeflow Trainer in one program.
//
// Their own programs fetch the certificate of their webhooks from a Secret that a kubelet mounts;
// here it is a directory, so that nothing has to run inside the cluster.
package main

import (
	"flag"
	"os"

	trainer "github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1"
	trainercontroller "github.com/kubeflow/trainer/v2/pkg/controller"
	runtimecore "github.com/kubeflow/trainer/v2/pkg/runtime/core"
	trainerwebhooks "github.com/kubeflow/trainer/v2/pkg/webhooks"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlpkg "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	jobset "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	jobsetcontrollers "sigs.k8s.io/jobset/pkg/controllers"
	jobsetwebhooks "sigs.k8s.io/jobset/pkg/webhooks"
	schedulerplugins "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

var log = ctrl.Log.WithName("setup")

// must ends the program with the reason when a step of the start failed.
func must(step string, err error) {
	if err != nil {
		log.Error(err, step)
		os.Exit(1)
	}
}

func main() {
	var probes, certs string
	var port int
	flag.StringVar(&probes, "health-probe-bind-address", "127.0.0.1:8081", "where /readyz is served")
	flag.StringVar(&certs, "webhook-cert-dir", "", "directory with tls.crt and tls.key")
	flag.IntVar(&port, "webhook-port", 9443, "port of the webhooks on loopback")
	flag.Parse()
	ctrl.SetLogger(zap.New())

	scheme := apiruntime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(trainer.AddToScheme(scheme))
	utilruntime.Must(jobset.AddToScheme(scheme))
	utilruntime.Must(schedulerplugins.AddToScheme(scheme))

	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                 scheme,
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: probes,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "127.0.0.1", Port: port, CertDir: certs,
		}),
	})
	must("manager", err)
	ctx := ctrl.SetupSignalHandler()

	must("jobset indexes", jobsetcontrollers.SetupJobSetIndexes(ctx, mgr.GetFieldIndexer()))
	must("pod indexes", jobsetcontrollers.SetupPodIndexes(ctx, mgr.GetFieldIndexer()))
	must("jobset controller", jobsetcontrollers.NewJobSetReconciler(
		mgr.GetClient(), mgr.GetScheme(), mgr.GetEventRecorderFor("jobset")).SetupWithManager(mgr))
	must("pod controller", jobsetcontrollers.NewPodReconciler(
		mgr.GetClient(), mgr.GetScheme(), mgr.GetEventRecorderFor("pod")).SetupWithManager(mgr))
	sets, err := jobsetwebhooks.NewJobSetWebhook(mgr.GetClient())
	must("jobset webhook", err)
	must("jobset webhook", sets.SetupWebhookWithManager(mgr))
	must("pod webhook", jobsetwebhooks.NewPodWebhook(mgr.GetClient()).SetupWebhookWithManager(mgr))

	runtimes, err := runtimecore.New(ctx, mgr.GetClient(), mgr.GetFieldIndexer())
	must("runtimes", err)
	name, err := trainercontroller.SetupControllers(mgr, runtimes, ctrlpkg.Options{})
	must("controller "+name, err)
	name, err = trainerwebhooks.Setup(mgr, runtimes)
	must("webhook "+name, err)

	must("healthz", mgr.AddHealthzCheck("healthz", healthz.Ping))
	must("readyz", mgr.AddReadyzCheck("readyz", mgr.GetWebhookServer().StartedChecker()))
	must("run", mgr.Start(ctx))
}
