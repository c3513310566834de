#!/usr/bin/env bash
# Makes the packages: a .deb and a tarball in dist/, each with the executable (the Swift runtime inside), man pages,
# completions for bash, zsh and fish, the systemd units and the guides.
#
#   deploy/package/build.sh        (make package)
#
# Needs dpkg-dev and what a build needs. The times in them are the commit's, so that a commit gives one package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for tool in dpkg-deb dpkg-shlibdeps gzip tar; do
    command -v "$tool" > /dev/null || { echo "package: no $tool here: install dpkg-dev" >&2; exit 1; }
done

scratch=.build-package
# The manifest is evaluated anew, and so is the plan made of it: they name the commit.
build=(swift build -c release --manifest-cache none --disable-build-manifest-caching --static-swift-stdlib -Xlinker -s --scratch-path "$scratch"
    --explicit-target-dependency-import-check error)
"${build[@]}" --product lockstep
"${build[@]}" --product generate-manual
binaries=$("${build[@]}" --show-bin-path)
lockstep=$binaries/lockstep
version=$("$lockstep" --version)
number=${version%% *}
commit=$(printf '%s' "$version" | sed -n 's/.*(\([0-9a-f]*\)+\{0,1\})$/\1/p')
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || date +%s)
export SOURCE_DATE_EPOCH
# Of the version: hashes have no order, and an upgrade wants one.
moment=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)
architecture=$(dpkg --print-architecture)

root=$scratch/root
rm -rf "$root" "$scratch/debian"
mkdir -p "$root"/usr/{bin,lib/lockstep,lib/systemd/system} "$root"/usr/share/{man/man1,doc/lockstep} \
    "$root"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
install -m 755 "$lockstep" "$root/usr/bin/lockstep"
install -m 755 deploy/systemd/coordinator-service "$root/usr/lib/lockstep/coordinator-service"
install -m 644 deploy/systemd/*.service "$root/usr/lib/systemd/system/"

# Both are generated from the commands themselves.
"$lockstep" --generate-completion-script bash > "$root/usr/share/bash-completion/completions/lockstep"
"$lockstep" --generate-completion-script zsh > "$root/usr/share/zsh/vendor-completions/_lockstep"
"$lockstep" --generate-completion-script fish > "$root/usr/share/fish/vendor_completions.d/lockstep.fish"
mkdir "$scratch/man.tmp" 2> /dev/null || rm -f "$scratch"/man.tmp/*
"$binaries/generate-manual" "$lockstep" --multi-page --section 1 --date "$day" --output-directory "$scratch/man.tmp"
for page in "$scratch"/man.tmp/lockstep*.1; do
    name=$(basename "$page" .1)
    if [ "$name" = lockstep.help ]; then continue; fi
    gzip -9n < "$page" > "$root/usr/share/man/man1/${name//./-}.1.gz"
done
# In the folders of the repository, so that the links between them lead somewhere.
doc=$root/usr/share/doc/lockstep
install -m 644 README.md CHANGELOG.md CONTRIBUTING.md "$doc/"
cp -r docs deploy "$doc/"
rm -rf "$doc"/deploy/*/test.sh "$doc/deploy/package" "$doc"/deploy/hosts
find "$doc" -type f -exec chmod 644 {} +

# The tarball: the same files below a folder of its own; example settings are in share/doc/lockstep/deploy/systemd.
name=lockstep-$number-linux-$(uname -m)
mkdir -p dist
tarred() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$@"; }
tarred -C "$root/usr" --transform "s,^\.,$name," -czf "dist/$name.tar.gz" .

# The package: settings in /etc are the administrator's once they are there.
mkdir -p "$root/etc/lockstep/keys" "$root/DEBIAN" "$scratch/debian"
chmod 700 "$root/etc/lockstep/keys"
install -m 644 deploy/systemd/coordinator.env deploy/systemd/worker.env "$root/etc/lockstep/"
printf '/etc/lockstep/coordinator.env\n/etc/lockstep/worker.env\n' > "$root/DEBIAN/conffiles"
printf 'Source: lockstep\n\nPackage: lockstep\nArchitecture: %s\n' "$architecture" > "$scratch/debian/control"
depends=$(cd "$scratch" && dpkg-shlibdeps -O -e root/usr/bin/lockstep 2> /dev/null | sed -n 's/^shlibs:Depends=//p')
cat > "$root/DEBIAN/control" << CONTROL
Package: lockstep
Version: $number${commit:++git$moment.$commit}
Architecture: $architecture
Maintainer: The Lockstep project <lockstep@localhost>
Section: science
Priority: optional
Depends: $depends
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Description: distributed trainer for character-level language models
 A coordinator shards a text over ZeroMQ, workers compute gradients of a stacked
 LSTM. The number of workers, threads, hosts, joins, deaths and restarts never
 changes a bit of the result.
CONTROL
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build "$root" "dist/lockstep_${number}_$architecture.deb" > /dev/null
printf 'version %s\ndepends %s\n' "$version" "$depends"
ls -l dist
