# Plays Homebrew: reads a formula, gets its archive for this machine, compares the sum, and runs its install and test.
#
#   ruby formula.rb FORMULA.rb PREFIX
#   HOST="darwin arm64" ruby formula.rb FORMULA.rb    prints what Homebrew would get on another machine, and its caveats
require "digest"
require "fileutils"
require "open3"
require "pathname"
require "rbconfig"
require "tmpdir"

SYSTEM, MACHINE = ENV.fetch("HOST", "#{RbConfig::CONFIG["host_os"]} #{RbConfig::CONFIG["host_cpu"]}").split

module OS
  def self.mac? = SYSTEM.include?("darwin")
end

class Place < Pathname
  def install(*names)
    mkpath
    names.flatten.each { |name| FileUtils.cp_r(name, self) }
  end
end

class Formula
  class << self
    attr_reader :test_block
    %i[desc homepage version license url sha256].each do |field|
      define_method(field) { |value = nil| value.nil? ? instance_variable_get("@#{field}") : instance_variable_set("@#{field}", value) }
    end
    def on_linux = (yield if SYSTEM.include?("linux"))
    def on_macos = (yield if OS.mac?)
    def on_intel = (yield if MACHINE == "x86_64")
    def on_arm = (yield if %w[aarch64 arm64].include?(MACHINE))
    def test(&block) = @test_block = block
  end

  def initialize(prefix) = @prefix = prefix
  def bin = Place.new("#{@prefix}/bin")
  def share = Place.new("#{@prefix}/share")
  def version = self.class.version

  def shell_output(command)
    output, status = Open3.capture2(command)
    raise "#{command} ended with #{status.exitstatus}" unless status.success?
    output
  end

  def assert_equal(wanted, found)
    raise "#{wanted.inspect} is wanted, and it is #{found.inspect}" unless wanted == found
  end
end

formula, prefix = ARGV
load formula
if prefix.nil?
  puts Telepresence.url, Telepresence.sha256, Telepresence.new(nil).caveats
  exit
end
archive, status = Open3.capture2("curl", "-fsSL", Telepresence.url, binmode: true)
raise "cannot get #{Telepresence.url}" unless status.success?
raise "the sum is not the formula's" unless Digest::SHA256.hexdigest(archive) == Telepresence.sha256

Dir.mktmpdir do |directory|
  Dir.chdir(directory)
  File.binwrite("archive.tar.gz", archive)
  system("tar", "-xzf", "archive.tar.gz", exception: true)
  # As Homebrew does: the only directory of an archive is where its install begins.
  Dir.chdir(Dir["*/"].first)
  installed = Telepresence.new(prefix)
  installed.install
  installed.instance_eval(&Telepresence.test_block)
end
puts "installed #{Telepresence.version}"
