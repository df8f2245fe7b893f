// What a runtime says in the environment: the sandbox, and in CNI_ARGS the pod.
//
// **Invariant:** what is missing or malformed is an error of code 4 that names the variable.
package main

import (
	"fmt"
	"regexp"
	"strings"
)

type environment func(name string) string

type sandbox struct {
	containerID string
	netns       string
	ifname      string
}

type pod struct {
	namespace string
	name      string
	// Empty from runtimes that do not say it.
	uid string
}

var (
	containerIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	ifnameForm      = regexp.MustCompile(`^[^/:\s]{1,15}$`)
)

func readSandbox(env environment, cniVersion string, withNetns bool) (*sandbox, *cniError) {
	found := sandbox{containerID: env("CNI_CONTAINERID"), netns: env("CNI_NETNS"), ifname: env("CNI_IFNAME")}
	missing := []string{}
	for _, one := range []struct {
		name, value string
		needed      bool
	}{{"CNI_CONTAINERID", found.containerID, true}, {"CNI_NETNS", found.netns, withNetns}, {"CNI_IFNAME", found.ifname, true}} {
		if one.needed && one.value == "" {
			missing = append(missing, one.name)
		}
	}
	if len(missing) > 0 {
		return nil, failed(cniVersion, codeEnvironment, fmt.Sprintf("%s not set: required with CNI_COMMAND=%s", strings.Join(missing, ", "), env("CNI_COMMAND")), "")
	}
	if !containerIDForm.MatchString(found.containerID) {
		return nil, failed(cniVersion, codeEnvironment, fmt.Sprintf("CNI_CONTAINERID: found %q, expected letters, digits, dots, dashes and underscores, a letter or digit first", found.containerID), "")
	}
	if !ifnameForm.MatchString(found.ifname) || found.ifname == "." || found.ifname == ".." {
		return nil, failed(cniVersion, codeEnvironment, fmt.Sprintf("CNI_IFNAME: found %q, expected 1 to 15 characters without slash, colon and blanks", found.ifname), "")
	}
	return &found, nil
}

// readPod gives nil for a container that is no pod of Kubernetes.
func readPod(env environment, cniVersion string) (*pod, *cniError) {
	found := pod{}
	text := env("CNI_ARGS")
	for _, pair := range strings.Split(text, ";") {
		if pair == "" {
			continue
		}
		equals := strings.Index(pair, "=")
		if equals < 1 {
			return nil, failed(cniVersion, codeEnvironment, fmt.Sprintf("CNI_ARGS: found %q, expected KEY=VALUE pairs separated by semicolons", pair), "")
		}
		value := pair[equals+1:]
		switch pair[:equals] {
		case "K8S_POD_NAMESPACE":
			found.namespace = value
		case "K8S_POD_NAME":
			found.name = value
		case "K8S_POD_UID":
			found.uid = value
		}
	}
	if found.namespace == "" && found.name == "" {
		return nil, nil
	}
	if found.namespace == "" {
		return nil, failed(cniVersion, codeEnvironment, "CNI_ARGS: K8S_POD_NAMESPACE is missing beside K8S_POD_NAME", "")
	}
	if found.name == "" {
		return nil, failed(cniVersion, codeEnvironment, "CNI_ARGS: K8S_POD_NAME is missing beside K8S_POD_NAMESPACE", "")
	}
	return &found, nil
}
