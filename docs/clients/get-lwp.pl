use strict;
use warnings;
use LWP::UserAgent;

my $client = LWP::UserAgent->new;
$client->proxy([qw(http https)], $ENV{PROXY});
for my $url (@ARGV) {
    my $answer = $client->get($url);
    die "$url: ", $answer->status_line, "\n" unless $answer->is_success;
    print $answer->decoded_content;
}
