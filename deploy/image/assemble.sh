#!/bin/sh
# Puts together the root of the final image: sh assemble.sh SOURCE ROOT. Run by the Dockerfile, in its build stage.
#
# Libraries are those that ldd names, under the names by which the loader looks for them, so that no architecture is
# written down here.
set -eu
source=$1
root=$2
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || ls -d /usr/lib/*-linux-gnu | head -n 1 | xargs basename)

mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/opt/picket/dist" "$root/etc/ssl/certs"

# The locked Node; its package's bin is the program itself.
cp "$(readlink -f "$source"/node_modules/node-linux-*/bin/node)" "$root/usr/bin/node"
cp "$(readlink -f "$(command -v nft)")" "$root/usr/sbin/nft"

# The bundle, runnable by itself: its module type is said by a package.json beside it.
cp "$source"/dist/*.js "$root/opt/picket/dist/"
cp "$source/dist/picket-cni" "$root/opt/picket/picket-cni"
printf '{"type":"module"}\n' > "$root/opt/picket/package.json"
{ printf '#!/usr/bin/node\n'; sed '1{/^#!/d}' "$source/dist/main.js"; } > "$root/opt/picket/dist/main.js"
chmod 0755 "$root/opt/picket/dist/main.js" "$root/opt/picket/picket-cni"
ln -s /opt/picket/dist/main.js "$root/usr/bin/picket"

# koffi with the native part for glibc only.
mkdir -p "$root/opt/picket/node_modules/@koromix"
cp -R "$source/node_modules/koffi" "$root/opt/picket/node_modules/koffi"
cp -R "$source"/node_modules/@koromix/koffi-linux-* "$root/opt/picket/node_modules/@koromix/"
rm -rf "$root"/opt/picket/node_modules/@koromix/*/musl_*
rm -f "$root/opt/picket/node_modules/koffi/cnoke.cjs"
find "$root/opt/picket/node_modules/koffi" -type f ! -name '*.js' ! -name '*.cjs' ! -name package.json ! -name 'LICENSE*' -delete
find "$root/opt/picket/node_modules/koffi" -type d -empty -delete
find "$root/opt/picket/node_modules" -type f -exec chmod 0644 {} +

# Libraries: of the programs, of koffi, and of libnftables, which koffi opens by name.
nftables="/usr/lib/$triplet/libnftables.so.1"
{
  echo "$nftables"
  for program in "$root/usr/bin/node" "$root/usr/sbin/nft" "$nftables" "$root"/opt/picket/node_modules/@koromix/koffi-linux-*/linux_*/koffi.node; do
    ldd "$program" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*$/\1/p'
  done
} | sort -u | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Names of protocols, as nft lists them.
cp /etc/protocols /etc/services "$root/etc/"
