# Whom Mail::Address and Email::Address::XS (Dovecot's parser) read as the authors of a message:
# messages in base64, one a line; lists in JSON.
use strict;
use warnings;
use Email::Address::XS qw(parse_email_groups);
use JSON::PP;
use MIME::Base64;
use Mail::Address;
use Mail::Internet;

$| = 1;
while (my $line = <STDIN>) {
    my $message = decode_base64($line);
    $message =~ s/\r\n/\n/g;
    my @lines = map { "$_\n" } split /\n/, $message;
    my $head = Mail::Internet->new(\@lines, Modify => 0)->head;
    my (@plain, @dovecot);
    for my $name (qw(From Sender Author Resent-From Resent-Sender)) {
        for my $value ($head->get($name)) {
            push @plain, grep { defined && length } map { $_->address } Mail::Address->parse($value);
            $value =~ s/\n//g;
            my @groups = parse_email_groups($value);
            while (@groups) {
                shift @groups;
                push @dovecot, grep { defined && length } map { $_->address } @{ shift @groups };
            }
        }
    }
    print JSON::PP->new->encode({ 'Mail::Address' => \@plain, 'Email::Address::XS' => \@dovecot }), "\n";
}
