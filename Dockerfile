# The server in a container; docs/containers.md. `make image` builds the binary on this machine and then this image.
#
# The base has glibc 2.17 or newer, and the CA certificates by which AWS is recognised. It needs no shell.
ARG BASE=amazonlinux:2023
FROM ${BASE}
COPY target/image/server /usr/local/bin/server
WORKDIR /
# Nobody in particular: the server reads nothing but the environment and the certificates, and writes no file.
USER 65532:65532
EXPOSE 9000
# A start takes milliseconds. Alive, not ready: what DynamoDB does not take goes to the fallback queue, which a restart would not mend.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/server", "--health-check"]
# Ends when everything is answered, after 8 s at most.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/server"]
