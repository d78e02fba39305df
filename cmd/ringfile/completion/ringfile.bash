# Made from the usages by "go generate ./cmd/ringfile"; not to be edited.
_ringfile() {
	local word=${COMP_WORDS[COMP_CWORD]} words=
	if ((COMP_CWORD == 1)); then
		words="sum cp probe bench switch version help"
	elif [[ ${COMP_WORDS[1]} == help ]]; then
		words="sum cp probe bench switch"
	elif [[ $word == -* ]]; then
		case ${COMP_WORDS[1]} in
		sum) words="-j --direct --uncached --tag -z --zero -b --binary -t --text -v --verbose -q --quiet -h --help -c --check --status -w --warn --strict --ignore-missing" ;;
		cp) words="-p -f --force -t --target-directory -T --no-target-directory -v --verbose -j --direct --uncached -q --quiet -h --help -r -R --recursive" ;;
		probe) words="--json -h --help" ;;
		bench) words="--quick --full --fio --beside --devices --slow --dir --fs --out --size --reps --piece-time --cells --goroutines --against -h --help" ;;
		switch) words="-n --api --fd --fsys -h --help" ;;
		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _ringfile ringfile
